import { randomUUID } from "node:crypto";
import {
  type WebhookConfiguration,
  webhookConfigurationsPath,
} from "../../../src/kubernetes/api/objects.ts";
import {
  defaultNamespace,
  driverName,
  labelPrefix,
  webhookName,
} from "../../../src/kubernetes/names.ts";
import { createReviewClient, type ReviewClient } from "../../support/review-client.ts";
import type { Row } from "../bench.ts";
import { percentile } from "../measure/statistics.ts";
import type { Fact } from "../results.ts";
import type { ClusterPlace } from "./cluster-place.ts";

/** What a pod's creation waits for at the webhook. */
export const clusterWebhook: Row<ClusterPlace> = {
  id: "cluster-webhook",
  title: "review of a pod by the webhook, over TLS, what it needs of the registry known",
  measure: async ({ plane, cluster, references }, bench) => {
    const { calls, warmups } = bench.settings.smoke
      ? { calls: 20, warmups: 2 }
      : { calls: 1000, warmups: 100 };
    const path = `${webhookConfigurationsPath}/${webhookName}`;
    const { webhooks } = await plane.api.call<WebhookConfiguration>({ method: "GET", path });
    const called = webhooks?.[0]?.clientConfig;
    const ca = Buffer.from(called?.caBundle ?? "", "base64").toString();
    const servername = `${webhookName}.${defaultNamespace}.svc`;
    const reviews = called?.service?.path ?? new URL(called?.url ?? "").pathname;
    const asking = { port: cluster.webhookPort, ca, servername, path: reviews };
    using client = createReviewClient(asking);
    const owner = randomUUID();
    const ways = [
      {
        id: "digest",
        label: "by digest",
        reference: references.digest,
        owner: () => owner,
        every: 1,
      },
      {
        id: "tag",
        label: "by tag, pinned before",
        reference: references.tag,
        owner: () => owner,
        every: 1,
      },
      // Each writes a pin, and what is written grows with them: a hundred owners are a busy day.
      {
        id: "new",
        label: "by tag, first of its owner",
        reference: references.tag,
        owner: randomUUID,
        every: 10,
      },
    ].map((way) => ({ ...way, seconds: [] as number[] }));
    for (let call = -warmups; call < calls; call += 1)
      for (const { reference, owner: ownerOf, every, seconds } of ways) {
        if (call % every !== 0) continue;
        bench.signal.throwIfAborted();
        const took = await reviewOnce(client, reference, ownerOf());
        if (call >= 0) seconds.push(took);
      }
    const facts = ways.flatMap(({ id, label, seconds }): Fact[] => [
      { id: `${id}-p50`, label: `${label}, p50`, value: percentile(seconds, 0.5), unit: "seconds" },
      {
        id: `${id}-p99`,
        label: `${label}, p99`,
        value: percentile(seconds, 0.99),
        unit: "seconds",
      },
    ]);
    const count: Fact = {
      id: "calls",
      label: "calls, of the third kind a tenth",
      value: calls,
      unit: "count",
    };
    return { entries: [], facts: [count, ...facts] };
  },
};

/** Sends a pod for review and checks that the answer prefers nodes; resolves to the seconds it took. */
async function reviewOnce(client: ReviewClient, reference: string, uid: string): Promise<number> {
  const csi = { driver: driverName, readOnly: true, volumeAttributes: { reference } };
  const kind = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "bench", controller: true };
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { generateName: "bench-", ownerReferences: [{ ...kind, uid }] },
    spec: { containers: [{ name: "main", image: "none" }], volumes: [{ name: "model", csi }] },
  };
  const started = performance.now();
  const { status, patch } = await client.review(pod);
  const seconds = (performance.now() - started) / 1000;
  if (status !== 200 || !JSON.stringify(patch).includes(labelPrefix))
    throw new Error(`the webhook answered ${status} ${JSON.stringify(patch)}`);
  return seconds;
}
