import { setTimeout as sleep } from "node:timers/promises";
import { forEachConcurrently } from "../../core/concurrently.ts";
import type { Abortable } from "../../core/progress.ts";
import { isApiError } from "../api/api-error.ts";
import type { ClusterApi } from "../api/cluster-api.ts";
import { leasesPath } from "../api/leases.ts";
import { pickAll } from "../api/list.ts";
import type { ApiObject } from "../api/objects.ts";
import { modelLabels, ownObjects, webhookCertificate, webhookPins } from "../names.ts";
import { nodeModelsPath } from "../node-models.ts";
import { roleOf } from "./facts/cluster-facts.ts";

export interface RemoveTracesOptions extends Abortable {
  /** Of Ballast. */
  readonly namespace: string;
  /** For how long to wait until nobody is left who would write them again. */
  readonly waitMs: number;
}

/** What was removed. */
export interface RemovedTraces {
  /** Nodes that had labels of ours. */
  readonly nodes: number;
  readonly leases: number;
  readonly nodeModels: number;
  /** `Secret ballast-webhook-certificate` and the like. */
  readonly objects: readonly string[];
  /** Pods of reporters and the controller that were still there: what they write comes back. */
  readonly remaining: readonly string[];
}

const writers = new Set(["reporter", "controller", "webhook"]);
const leasePattern = /^(?:reporter\.|ballast-)/;
const pollMs = 500;
const atOnce = 8;

/**
 * Removes what Ballast wrote and no chart knows of: labels of nodes, Leases, NodeModels, what the webhook
 * made. Waits first until its writers are gone. Idempotent: what is gone is passed over. Rejects with what
 * the API server refuses.
 */
export async function removeTraces(
  api: ClusterApi,
  { namespace, waitMs, signal }: RemoveTracesOptions,
): Promise<RemovedTraces> {
  const options = { signal };
  const home = `/api/v1/namespaces/${namespace}`;
  const remaining = await untilGone(
    () =>
      pickAll<ApiObject, string>(
        api,
        { path: `${home}/pods`, labelSelector: ownObjects, metadataOnly: true },
        (pod) => (writers.has(roleOf(pod) ?? "") ? pod.metadata.name : undefined),
        options,
      ),
    waitMs,
    signal,
  );
  const leases = leasesPath(namespace);
  const ownLease = ({ metadata: { name = "" } }: ApiObject) =>
    leasePattern.test(name) ? name : undefined;
  const anyName = ({ metadata: { name } }: ApiObject) => name;
  return {
    nodes: await removeLabels(api, options),
    leases: (await removeAll(api, leases, ownLease, options)).length,
    nodeModels: (await removeAll(api, nodeModelsPath, anyName, options)).length,
    objects: [
      ...((await remove(api, `${home}/secrets/${webhookCertificate}`, options))
        ? [`Secret ${webhookCertificate}`]
        : []),
      ...((await remove(api, `${home}/configmaps/${webhookPins}`, options))
        ? [`ConfigMap ${webhookPins}`]
        : []),
    ],
    remaining,
  };
}

async function untilGone(
  list: () => Promise<string[]>,
  waitMs: number,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const end = performance.now() + waitMs;
  for (;;) {
    const left = await list();
    if (left.length === 0 || performance.now() >= end) return left;
    await sleep(Math.min(pollMs, Math.max(1, end - performance.now())), undefined, { signal });
  }
}

/** Resolves to how many nodes had any. */
async function removeLabels(api: ClusterApi, options: Abortable): Promise<number> {
  const path = "/api/v1/nodes";
  const labelled = await pickAll<ApiObject, { name: string; keys: string[] }>(
    api,
    { path, metadataOnly: true },
    ({ metadata: { name = "", labels = {} } }) => {
      const keys = modelLabels(labels);
      return keys.length === 0 ? undefined : { name, keys };
    },
    options,
  );
  await forEachConcurrently(labelled, atOnce, async ({ name, keys }) => {
    const labels = Object.fromEntries(keys.map((key) => [key, null]));
    await unlessGone(() =>
      api.call(
        { method: "PATCH", path: `${path}/${name}`, body: { metadata: { labels } } },
        options,
      ),
    );
  });
  return labelled.length;
}

/** Deletes those of a collection that are chosen, by name; resolves to their names. */
async function removeAll(
  api: ClusterApi,
  path: string,
  choose: (object: ApiObject) => string | undefined,
  options: Abortable,
): Promise<string[]> {
  const names: string[] = [];
  // Without its CRD there is no such collection.
  await unlessGone(async () => {
    names.push(
      ...(await pickAll<ApiObject, string>(api, { path, metadataOnly: true }, choose, options)),
    );
  });
  await forEachConcurrently(names, atOnce, async (name) => {
    await remove(api, `${path}/${name}`, options);
  });
  return names;
}

/** Resolves to whether it was there. */
function remove(api: ClusterApi, path: string, options: Abortable): Promise<boolean> {
  return unlessGone(() => api.call({ method: "DELETE", path }, options));
}

async function unlessGone(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (isApiError(error, 404)) return false;
    throw error;
  }
}
