import { forEachConcurrently } from "../../core/concurrently.ts";
import { isModelError } from "../../core/errors.ts";
import { describeFault } from "../../core/log.ts";
import { pause } from "../../core/pause.ts";
import { absentIfMissing, isApiError } from "../api/api-error.ts";
import { followObjects } from "../api/collection.ts";
import { leasesPath } from "../api/leases.ts";
import type { ApiObject, Lease } from "../api/objects.ts";
import { modelLabels, nodeOfReporterLease, reporterLeaseName } from "../names.ts";
import type { Duty } from "./duty.ts";
import { createSignsOfLife } from "./signs-of-life.ts";
import { untilSynced } from "./until-synced.ts";

export interface StaleReportersOptions extends Duty {
  /** Where the Leases of reporters are. */
  readonly namespace: string;
  /** For how long a reporter may be silent, beside the duration that its Lease states. */
  readonly staleMs: number;
  /** Default: performance.now. */
  readonly now?: (() => number) | undefined;
}

const longestTickMs = 5000;
const lanes = 8;

/**
 * Takes all labels of Ballast from nodes whose reporter is silent, so that a dead node does not look
 * warm, and deletes silent Leases of nodes that are gone; until aborted. Nothing is judged before a full
 * period has been watched, nor on what a watch did not show: each Lease is read anew first.
 */
export async function clearStaleNodes(options: StaleReportersOptions): Promise<void> {
  const { api, log, metrics, signal, namespace, staleMs, onOutage } = options;
  const now = options.now ?? (() => performance.now());
  const signs = createSignsOfLife(staleMs, now);
  const collection = leasesPath(namespace);
  let isDeaf = false;
  await using leases = followObjects<Lease>(
    api,
    { path: collection },
    {
      onChange: (key, lease) => {
        const node = nodeOfReporterLease(key.slice(namespace.length + 1));
        if (node !== undefined) signs.hear(node, lease);
      },
      onOutage: (error) => {
        isDeaf = error !== undefined;
        // While the API was away nobody could renew.
        if (!isDeaf) signs.restart();
        onOutage("leases", error);
      },
    },
  );
  await using nodes = followObjects<ApiObject>(
    api,
    { path: "/api/v1/nodes", metadataOnly: true },
    { onOutage: (error) => onOutage("nodes", error) },
  );
  if (!(await untilSynced([leases, nodes], signal))) return;

  const leaseOf = (node: string) => leases.objects.get(`${namespace}/${reporterLeaseName(node)}`);

  async function judge(): Promise<void> {
    for (const node of signs.nodes)
      if (leaseOf(node) === undefined && labelsOf(nodes.objects.get(node)).length === 0)
        signs.forget(node);
    const labelled = [...nodes.objects.values()].filter((node) => labelsOf(node).length > 0);
    const silent = labelled.map(({ metadata }) => metadata.name ?? "").filter(signs.isSilent);
    await forEachConcurrently(silent, lanes, clear);
    const known = [...signs.nodes].filter((node) => leaseOf(node) !== undefined);
    const orphans = known.filter((node) => !nodes.objects.has(node) && signs.isSilent(node));
    await forEachConcurrently(orphans, lanes, removeLease);
    metrics.setStaleNodes(known.filter(signs.isSilent).length - orphans.length);
  }

  /** Looks again, past the watch; resolves to whether the node's reporter is silent indeed. */
  async function confirm(node: string): Promise<{ lease: Lease | undefined } | undefined> {
    const path = `${collection}/${reporterLeaseName(node)}`;
    const lease = await api.call<Lease>({ method: "GET", path }, { signal }).catch(absentIfMissing);
    signs.hear(node, lease);
    return signs.isSilent(node) ? { lease } : undefined;
  }

  async function clear(node: string): Promise<void> {
    const confirmed = await confirm(node);
    const seen = nodes.objects.get(node);
    const labels = labelsOf(seen);
    if (confirmed === undefined || labels.length === 0) return;
    // The version has this fail when a reporter that is back wrote a label meanwhile.
    const { resourceVersion } = seen?.metadata ?? {};
    const metadata = {
      resourceVersion,
      labels: Object.fromEntries(labels.map((label) => [label, null])),
    };
    const path = `/api/v1/nodes/${node}`;
    const done = await unlessChanged(
      api.call({ method: "PATCH", path, body: { metadata } }, { signal }),
    );
    if (!done) return;
    metrics.countLabelsRemoved(labels.length);
    const why = confirmed.lease === undefined ? "it has no reporter" : "its reporter is silent";
    log("labels removed", { node, labels: labels.length, why });
  }

  async function removeLease(node: string): Promise<void> {
    const { uid, resourceVersion } = (await confirm(node))?.lease?.metadata ?? {};
    if (uid === undefined) return;
    const path = `${collection}/${reporterLeaseName(node)}`;
    const body = { preconditions: { uid, resourceVersion } };
    if (await unlessChanged(api.call({ method: "DELETE", path, body }, { signal })))
      log("lease removed", { node, why: "the node is gone" });
  }

  const tickMs = Math.min(longestTickMs, staleMs / 12);
  while (!signal.aborted) {
    try {
      if (!isDeaf) await judge();
    } catch (error) {
      if (signal.aborted) return;
      if (isModelError(error, "CLUSTER_UNAVAILABLE")) signs.restart();
      metrics.countFailure("reporters");
      const event = isModelError(error) ? "labels stay for now" : "a defect";
      log(event, describeFault(error));
    }
    await pause(tickMs, signal);
  }
}

function labelsOf(node: ApiObject | undefined): string[] {
  return modelLabels(node?.metadata.labels);
}

/** Resolves to false where the object is gone or another by now: the next look decides anew. */
async function unlessChanged(call: Promise<unknown>): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (error) {
    if (isApiError(error, 404, 409)) return false;
    throw error;
  }
}
