import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { createRpcClient, type RpcClient } from "../../../csi/rpc/client.ts";
import type { NodeCalls } from "../../../csi/rpc/messages.ts";
import { nodeService } from "../../../csi/rpc/services.ts";
import type { PodVolume } from "../../support/kubelet.ts";
import type { NodeScene } from "../../support/node-scene.ts";
import type { Bench, Row } from "../bench.ts";
import { percentile } from "../measure/statistics.ts";
import { expectFiles } from "../models/model-files.ts";
import type { Fact } from "../results.ts";
import { type NodePlace, openBenchNode, startPod } from "./node-place.ts";

const timeoutMs = 120_000;

/** What a pod waits for whose model is on the node. */
export const nodePublish: Row<NodePlace> = {
  id: "node-publish",
  title: "NodePublishVolume of a model that is on the node, the call alone",
  measure: async ({ reference, registry, model }, bench) => {
    const { calls, warmups } = bench.settings.smoke
      ? { calls: 20, warmups: 2 }
      : { calls: 250, warmups: 50 };
    await using node = await openBenchNode(bench);
    const { name } = await node.admin().prefetch({ reference }, bench);
    const ways = [
      { id: "tag", reference, seconds: [] as number[], requests: 0 },
      { id: "digest", reference: name, seconds: [] as number[], requests: 0 },
    ];
    for (const way of ways) {
      const volume = await startPod(node, way.reference);
      await expectFiles(node.kubelet.targetOf(volume), model, bench.signal);
      await node.kubelet.deletePod(volume);
    }
    const { endpoint } = await node.kubelet.drivers.find(node.volume(reference).driver);
    using client = createRpcClient(nodeService, endpoint);
    for (let call = -warmups; call < calls; call += 1) {
      for (const way of ways) {
        const seconds = await publishOnce(node, client, node.volume(way.reference), bench);
        if (call >= 0) way.seconds.push(seconds);
      }
    }
    for (const way of ways) {
      const mark = await registry.log.mark();
      await publishOnce(node, client, node.volume(way.reference), bench);
      way.requests = (await registry.log.since(mark)).requests;
    }
    const left = (await node.leftovers())["mounts"];
    if (left !== 0) throw new Error(`${left} volumes are still mounted`);
    const facts = ways.flatMap(({ id, seconds, requests }): Fact[] => [
      fact(`${id}-p50`, `by ${id}, p50`, percentile(seconds, 0.5), "seconds"),
      fact(`${id}-p99`, `by ${id}, p99`, percentile(seconds, 0.99), "seconds"),
      fact(`${id}-requests`, `by ${id}, requests to the registry`, requests, "count"),
    ]);
    return { entries: [], facts: [fact("calls", "calls, of each", calls, "count"), ...facts] };
  },
};

/** Publishes to a new pod and takes it away again; resolves to the seconds of the first. */
async function publishOnce(
  { kubelet }: NodeScene,
  client: RpcClient<NodeCalls>,
  volume: PodVolume,
  { signal }: Bench,
): Promise<number> {
  const target = kubelet.targetOf(volume);
  await mkdir(dirname(target), { recursive: true });
  const started = performance.now();
  await client.call("NodePublishVolume", kubelet.requestOf(volume), { timeoutMs, signal });
  const seconds = (performance.now() - started) / 1000;
  const request = { volume_id: kubelet.handleOf(volume), target_path: target };
  await client.call("NodeUnpublishVolume", request, { timeoutMs, signal });
  return seconds;
}

function fact(id: string, label: string, value: number, unit: Fact["unit"]): Fact {
  return { id, label, value, unit };
}
