import type { Lease } from "../../api/objects.ts";
import { nodeOfReporterLease } from "../../names.ts";

/** Where a Lease says nothing else. */
const usualSeconds = 40;
/** Between the clock that wrote a Lease and this one. */
const clockSlackMs = 10_000;

/** Whether the holder of a Lease was heard of lately, by this side's clock. */
function isHeld(lease: Lease, now: number): boolean {
  const seconds = lease.spec?.leaseDurationSeconds ?? usualSeconds;
  return now - heardAt(lease) <= seconds * 1000 + clockSlackMs;
}

/** By the API server's clock where it tells: the holder's, of which the Lease itself speaks, may be off. */
function heardAt({ metadata: { managedFields = [] }, spec }: Lease): number {
  const times = managedFields.map(({ time = "" }) => Date.parse(time)).filter(Number.isFinite);
  return times.length === 0 ? Date.parse(spec?.renewTime ?? "") : Math.max(...times);
}

/** The nodes whose reporters are alive, by their Leases. */
export function liveReporters(leases: readonly Lease[], now: number): ReadonlySet<string> {
  const nodes = leases.flatMap((lease) => {
    const node = nodeOfReporterLease(lease.metadata.name ?? "");
    return node !== undefined && isHeld(lease, now) ? [node] : [];
  });
  return new Set(nodes);
}
