import type { NodeScene } from "../../support/node-scene.ts";
import type { Bench, Row } from "../bench.ts";
import { readResidentMemory } from "../measure/resident-memory.ts";
import { rotate } from "../measure/rounds.ts";
import { expectFiles } from "../models/model-files.ts";
import type { Run } from "../results.ts";
import { cpuSecondsOf } from "../servers/running-server.ts";
import { type NodePlace, openBenchNode, startPod } from "./node-place.ts";

const pods = 100;

/** What is compared: a pull by a fresh agent, and pods that all want it of one. */
interface Way {
  readonly client: string;
  /** Brings the model; resolves to a folder that has it. */
  readonly bring: (node: NodeScene, reference: string, bench: Bench) => Promise<string>;
  readonly runs: Run[];
}

/** Many pods that start at once on a model that the node does not have. */
export const nodeCold: Row<NodePlace> = {
  id: "node-cold-100",
  title: `${pods} pods at once on a model that the node does not have, until all are up`,
  measure: async (place, bench) => {
    const { rounds, warmups } = bench.settings;
    const ways: readonly Way[] = [
      { client: "one pull by the agent", bring: prefetch, runs: [] },
      { client: `${pods} pods`, bring: startPods, runs: [] },
    ];
    for (let round = 0; round < warmups + rounds; round += 1)
      for (const way of rotate(ways, round)) {
        const run = await runOnce(place, way, bench);
        const counts = round >= warmups;
        bench.print(`  ${way.client}: ${run.seconds.toFixed(3)} s${counts ? "" : " (warm-up)"}`);
        if (counts) way.runs.push(run);
      }
    const entries = ways.map(({ client, runs }) => ({ client, role: "ours" as const, runs }));
    return {
      entries,
      facts: [
        { id: "model-bytes", label: "model", value: place.model.bytes, unit: "bytes" },
        { id: "pods", label: "pods", value: pods, unit: "count" },
      ],
    };
  },
};

async function prefetch(node: NodeScene, reference: string, { signal }: Bench): Promise<string> {
  return (await node.admin().prefetch({ reference }, { signal })).tree;
}

async function startPods(node: NodeScene, reference: string): Promise<string> {
  const starts = Array.from({ length: pods }, () => startPod(node, reference));
  const [first] = await Promise.all(starts);
  if (first === undefined) throw new Error("no pod was started");
  return node.kubelet.targetOf(first);
}

/** Brings the model to a fresh node, whose kubelet waits between calls as a real one does. */
async function runOnce(
  { reference, registry, model }: NodePlace,
  { bring, runs }: Way,
  bench: Bench,
): Promise<Run> {
  await using node = await openBenchNode(bench, { gapScale: 1 });
  const pids = [node.agent.process.pid, node.plugin.pid];
  const mark = await registry.log.mark();
  const [own, theirs] = [cpuSecondsOf(pids), registry.cpuSeconds()];
  const started = performance.now();
  const folder = await bring(node, reference, bench);
  const seconds = (performance.now() - started) / 1000;
  const cpuSeconds = cpuSecondsOf(pids) - own;
  const serverSeconds = registry.cpuSeconds() - theirs;
  const traffic = await registry.log.since(mark);
  const memory = await Promise.all(pids.map(readResidentMemory));
  const peakBytes = Math.max(...memory.map((each) => each.peakBytes));
  if (runs.length === 0) await expectFiles(folder, model, bench.signal);
  return { seconds, cpuSeconds, peakBytes, serverSeconds, ...traffic };
}
