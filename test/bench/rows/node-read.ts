import { open, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Bench, Row } from "../bench.ts";
import { rotate } from "../measure/rounds.ts";
import { summarize } from "../measure/statistics.ts";
import { expectFiles } from "../models/model-files.ts";
import { type NodePlace, openBenchNode, startPod } from "./node-place.ts";

/** What a pod's reads cost beside those of the file in the store. */
export const nodeRead: Row<NodePlace> = {
  id: "node-read",
  title: "read of a mounted model beside the same files in the store, page cache warm",
  measure: async ({ reference, model }, bench) => {
    const rounds = bench.settings.smoke ? 2 : 20;
    await using node = await openBenchNode(bench);
    const { tree } = await node.admin().prefetch({ reference }, bench);
    const volume = await startPod(node, reference);
    const mounted = { folder: node.kubelet.targetOf(volume), seconds: [] as number[] };
    const native = { folder: tree, seconds: [] as number[] };
    // Also the warm-up.
    for (const { folder } of [mounted, native]) await expectFiles(folder, model, bench.signal);
    const paths = model.files.map(({ path }) => path);
    const buffer = Buffer.alloc(2 ** 20);
    for (let round = 0; round < rounds; round += 1)
      for (const { folder, seconds } of rotate([mounted, native], round))
        seconds.push(await readAll(folder, { paths, buffer }, bench));
    const ratios = mounted.seconds.map((own, round) => (native.seconds[round] ?? 0) / own);
    const seconds = (id: string, label: string, values: readonly number[]) => {
      return { id, label, value: summarize(values).median, unit: "seconds" } as const;
    };
    return {
      entries: [],
      facts: [
        { id: "bytes", label: "read each time", value: model.bytes, unit: "bytes" },
        { id: "rounds", label: "times, each", value: rounds, unit: "count" },
        seconds("mounted", "mounted, median", mounted.seconds),
        seconds("native", "in the store, median", native.seconds),
        {
          id: "ratio",
          label: "speed through the mount, in the store = 1, median of the pairs",
          value: summarize(ratios).median,
          unit: "ratio",
        },
      ],
    };
  },
};

/** Reads files from start to end, 1 MiB at a time; resolves to the seconds. */
async function readAll(
  folder: string,
  { paths, buffer }: { readonly paths: readonly string[]; readonly buffer: Buffer },
  { signal }: Bench,
): Promise<number> {
  signal.throwIfAborted();
  const started = performance.now();
  for (const path of paths) {
    await using file = await open(join(folder, path));
    let total = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, total);
      if (bytesRead === 0) break;
      total += bytesRead;
    }
    if (total !== (await stat(join(folder, path))).size) throw new Error(`${path} is cut short`);
  }
  return (performance.now() - started) / 1000;
}
