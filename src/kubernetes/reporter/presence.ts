import { describeFault, type Log } from "../../core/log.ts";
import { pause } from "../../core/pause.ts";
import type { ClusterApi } from "../api/cluster-api.ts";
import { renewLease } from "../api/leases.ts";
import type { ApiObject } from "../api/objects.ts";
import { reporterLeaseName } from "../names.ts";
import type { OwnObject } from "./own-object.ts";
import { ownerOf } from "./report-keeper.ts";

export interface PresenceOptions {
  readonly api: ClusterApi;
  readonly namespace: string;
  readonly name: string;
  readonly node: OwnObject<ApiObject>;
  /** Why the labels of the node may be wrong; undefined when they are right. */
  readonly whyNotReady: () => string | undefined;
  /** Between two renewals; the Lease lasts three times as long. */
  readonly everyMs: number;
  /** Of this process. */
  readonly holder: string;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/**
 * Says again and again, by a Lease, that the labels of the node can be believed, until aborted. It runs out by
 * itself: then somebody else takes the labels away. Never rejects.
 */
export async function keepPresence(options: PresenceOptions): Promise<void> {
  const { api, namespace, name, node, whyNotReady, everyMs, holder, log, signal } = options;
  const identity = {
    namespace,
    name: reporterLeaseName(name),
    holder,
    seconds: Math.ceil((3 * everyMs) / 1000),
  };
  let isFailing = false;
  while (!signal.aborted) {
    const uid = node.object?.metadata.uid;
    if (uid === undefined || whyNotReady() !== undefined) {
      await pause(Math.min(everyMs / 10, 1000), signal);
      continue;
    }
    try {
      await renewLease(api, { ...identity, ownerReferences: [ownerOf(name, uid)] }, { signal });
      if (isFailing) log("lease renewed again", { name: identity.name });
      isFailing = false;
      await pause(everyMs, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!isFailing) log("lease failed", { name: identity.name, error: describeFault(error) });
      isFailing = true;
      await pause(everyMs / 4, signal);
    }
  }
}
