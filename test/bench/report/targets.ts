import { formatBytes } from "../../../src/cli/amounts.ts";
import { medianSeconds, oursIn } from "../measure/statistics.ts";
import type { RowResult } from "../results.ts";
import { clusterTargets } from "./cluster-targets.ts";
import { nodeTargets } from "./node-targets.ts";
import { formatFact } from "./row-cells.ts";
import {
  factOf,
  faster,
  fasterThan,
  flatMemory,
  littleMemory,
  promise,
  smallDelta,
  type Target,
  thriftier,
} from "./target-kinds.ts";

/** A target held against what was measured. */
export interface Judgement {
  readonly target: Target;
  readonly measured: string;
  readonly verdict: "met" | "missed" | "not measured";
}

const mebi = 2 ** 20;

/** All targets, in the order they are reported. */
const targets: readonly Target[] = [
  faster("pull-tls", "cold pull over TLS, 4 shards", 1.8),
  faster("pull-tls-one-file", "cold pull over TLS, one file", 1.8),
  faster("pull-plain", "cold pull, plain HTTP, 4 shards", 1.1),
  thriftier("pull-plain", "CPU seconds of a cold pull, plain HTTP, 4 shards"),
  faster("pull-plain-one-file", "cold pull, plain HTTP, one file", 1.5),
  thriftier("pull-plain-one-file", "CPU seconds of a cold pull, plain HTTP, one file"),
  faster("pull-capped", "cold pull, 50 MiB/s for each connection, 4 shards", 3),
  faster("pull-capped-one-file", "cold pull, 50 MiB/s for each connection, one file", 12),
  faster("push", "push, all new, 4 shards", 1.1),
  fasterThan("regctl, from files", "push", "push, all new, 4 shards, from plain files", 1.1),
  faster("push-one-file", "push, all new, one file", 1.1),
  faster("push-tls", "push, all new, TLS", 1.1),
  {
    ...promise("push-temp-disk", "temporary disk of a push", "nothing"),
    measure: (row) => {
      const [written, left] = [factOf(row, "disk-bytes"), factOf(row, "files-left")];
      if (row.skipped !== undefined || written === undefined || left === undefined)
        return undefined;
      const files = left === 0 ? "" : `, ${left} files left`;
      return { text: `${formatBytes(written)}${files}`, met: written === 0 && left === 0 };
    },
  },
  faster("copy", "copy between registries, all new, 4 shards", 1),
  smallDelta("delta-push", "push of a version that differs in X bytes"),
  smallDelta("delta-pull", "pull of a version that differs in X bytes"),
  {
    ...promise(
      "pull-present",
      "pull of a model that is there, the whole process",
      "at most 100 ms",
    ),
    measure: (row) => {
      const ours = oursIn(row);
      const milliseconds = ours && medianSeconds(ours) * 1000;
      if (milliseconds === undefined) return undefined;
      return { text: `${milliseconds.toFixed(0)} ms`, met: milliseconds <= 100 };
    },
  },
  {
    ...promise(
      "pull-present-library",
      "pull of a model that is there, by a program that runs, p50",
      "at most 100 ms",
    ),
    measure: (row) => {
      const seconds = factOf(row, "p50");
      if (seconds === undefined) return undefined;
      return { text: formatFact({ value: seconds, unit: "seconds" }), met: seconds <= 0.1 };
    },
  },
  ...[
    faster("registry-push", "push by crane to our registry", 0.8),
    faster("registry-pull", "pull by crane from our registry", 0.8),
    faster("registry-push-ballast", "push by Ballast to our registry", 0.8),
    faster("registry-pull-ballast", "pull by Ballast from our registry", 0.8),
  ].map((target) => ({ ...target, against: "distribution, the same client" })),
  ...nodeTargets,
  ...clusterTargets,
  ...["push", "pull"].flatMap((verb) => [littleMemory(verb), flatMemory(verb)]),
  {
    ...promise("requests", "requests of a 140 GB pull to a registry that redirects", "at most 450"),
    measure: (row) => {
      const requests = factOf(row, "redirected-registry");
      if (requests === undefined || factOf(row, "model-bytes") !== 140_000_000_000)
        return undefined;
      return { text: String(requests), met: requests <= 450 };
    },
  },
  {
    ...promise("manifest", "manifest of a 1 TiB model", "at most 1 MiB"),
    measure: (row) => {
      const bytes = factOf(row, "manifest-bytes");
      if (bytes === undefined) return undefined;
      return { text: formatBytes(bytes), met: bytes <= mebi };
    },
  },
];

/** Holds what was measured against the targets of these rows. */
export function judge(rows: readonly RowResult[]): Judgement[] {
  return targets.flatMap((target): Judgement[] => {
    const row = rows.find(({ id }) => id === target.row);
    if (row === undefined) return [];
    const found = target.measure(row);
    if (found === undefined) return [{ target, measured: "-", verdict: "not measured" }];
    return [{ target, measured: found.text, verdict: found.met ? "met" : "missed" }];
  });
}
