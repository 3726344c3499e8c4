import { formatBytes, formatSeconds } from "../cli/amounts.ts";
import { formatTable } from "../cli/table.ts";
import type { Journey } from "./journey.ts";

/** All journeys in a table, and what it says in words. */
export function describeJourneys(journeys: readonly Journey[]): string[] {
  const rows = journeys.map(({ tag, totalBytes, push, pull, resumed }) => [
    tag,
    formatBytes(totalBytes),
    formatBytes(push.moved),
    formatBytes(push.reused),
    formatSeconds(push.seconds),
    formatBytes(pull.moved),
    formatBytes(pull.reused),
    formatSeconds(pull.seconds),
    resumed ? "pull resumed after kill -9" : "",
  ]);
  const titles = ["MODEL", "SIZE>", "SENT>", "SHARED>", "TIME>"];
  return formatTable([...titles, "FETCHED>", "REUSED>", "TIME>", ""], rows);
}

/** What the numbers of the descendants mean, in sentences that hold for these numbers. */
export function explainJourneys([, ...descendants]: readonly Journey[]): string[] {
  return descendants.map(({ tag, totalBytes, push: { reused } }) => {
    if (reused === 0) return `${tag}: nothing of it was there: it moved whole.`;
    const percent = (reused * 100) / totalBytes;
    const share = percent < 1 ? "less than 1%" : `${Math.round(percent)}%`;
    return `${tag}: ${share} of it was there already (${formatBytes(reused)}); the rest moved.`;
  });
}
