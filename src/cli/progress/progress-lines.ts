import { formatBytes, formatCount, formatSeconds } from "../amounts.ts";
import { keepEnd, pad, printable, textWidth } from "../text.ts";
import type { FileTally, Tally } from "./tally.ts";

const mostFiles = 4;
const widest = 120;

/** Percent done, 0 to 100; 100 only when nothing is left. */
export function percentDone(done: number, total: number): number {
  if (done >= total) return 100;
  return Math.max(0, Math.min(99, Math.floor((done * 100) / total)));
}

/** One line about the whole, for a log. */
export function describeTally(tally: Tally): string {
  const { activity, totalBytes, worked, reused, filesDone, files } = tally;
  const done = Math.min(totalBytes, worked + reused);
  const parts = [
    `${activity} ${percentDone(done, totalBytes)}%`,
    `${formatBytes(done)} of ${formatBytes(totalBytes)}`,
    `${filesDone} of ${formatCount(files, activity === "copy" ? "blob" : "file")}`,
    ...describeReuse(tally),
    ...describeSpeed(tally),
  ];
  return parts.join(", ");
}

/** The bar of the whole and one for each of the busiest files, none wider than `columns`. */
export function drawBars(tally: Tally, columns: number): string[] {
  // The last column stays free: some terminals wrap as soon as it is written.
  const width = Math.max(10, Math.min(widest, columns - 1));
  const files = tally.files > 1 ? tally.busiest(mostFiles) : [];
  const ordered = files.sort((a, b) => (a.path < b.path ? -1 : 1));
  return [drawWhole(tally, width), ...ordered.map((file) => drawFile(file, width))];
}

function drawWhole(tally: Tally, width: number): string {
  const { activity, totalBytes, worked, reused } = tally;
  const done = Math.min(totalBytes, worked + reused);
  const head = `${activity} ${pad(`${percentDone(done, totalBytes)}%`, 4, "left")} `;
  const amounts = `${formatBytes(done)} of ${formatBytes(totalBytes)}`;
  const tail = [amounts, ...describeSpeed(tally), ...describeReuse(tally)];
  return fit(head, tail, width, (cells) => drawBar({ worked, reused, total: totalBytes }, cells));
}

function drawFile(file: FileTally, width: number): string {
  const { path, size, worked, reused } = file;
  const barCells = Math.min(24, Math.floor(width / 4));
  const percent = pad(`${percentDone(worked + reused, size)}%`, 4, "left");
  const tail = `${percent} ${drawBar({ worked, reused, total: size }, barCells)}`;
  const room = width - textWidth(tail) - 3;
  return keepEnd(`  ${pad(keepEnd(printable(path), room), Math.max(0, room))} ${tail}`, width);
}

/** Leaves out the last facts until a bar of some length fits beside the others. */
function fit(
  head: string,
  facts: readonly string[],
  width: number,
  bar: (cells: number) => string,
): string {
  for (let count = facts.length; count > 0; count--) {
    const tail = ` ${facts.slice(0, count).join(", ")}`;
    const cells = width - textWidth(head) - textWidth(tail);
    if (cells >= 12) return head + bar(Math.min(cells, 40)) + tail;
  }
  return `${head}${bar(Math.max(3, width - textWidth(head)))}`.slice(0, width);
}

/** `=` is what was here already, `#` what was moved. */
function drawBar(part: { worked: number; reused: number; total: number }, columns: number): string {
  const cells = Math.max(1, columns - 2);
  const share = (bytes: number) =>
    part.total <= 0 ? cells : Math.floor(Math.min(1, Math.max(0, bytes) / part.total) * cells);
  const reused = part.total <= 0 ? 0 : share(part.reused);
  const moved = Math.max(0, share(part.reused + part.worked) - reused);
  return `[${"=".repeat(reused)}${"#".repeat(moved)}${".".repeat(cells - reused - moved)}]`;
}

function describeReuse({ activity, reused }: Tally): string[] {
  const where = activity === "push" || activity === "copy" ? "there" : "here";
  return reused > 0 ? [`${formatBytes(reused)} already ${where}`] : [];
}

function describeSpeed({ rate, secondsLeft, totalBytes, worked, reused }: Tally): string[] {
  if (worked + reused >= totalBytes || rate <= 0 || secondsLeft === undefined) return [];
  return [`${formatBytes(rate)}/s`, `${formatSeconds(secondsLeft)} left`];
}
