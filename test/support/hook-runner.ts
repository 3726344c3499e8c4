import { setTimeout as sleep } from "node:timers/promises";
import { isApiError } from "../../src/kubernetes/api/api-error.ts";
import type { ClusterApi } from "../../src/kubernetes/api/cluster-api.ts";
import { listAll } from "../../src/kubernetes/api/list.ts";
import type { Pod } from "../../src/kubernetes/api/objects.ts";
import { type CommandResult, runBallast } from "./ballast-command.ts";
import type { ControlPlane } from "./control-plane.ts";

/** A pod of a Job that was run. */
interface HookRun extends CommandResult {
  readonly job: string;
  readonly args: readonly string[];
}

/** What a kubelet is for hooks of a chart. Disposing ends it. */
export interface HookRunner extends AsyncDisposable {
  /** Oldest first. */
  readonly runs: readonly HookRun[];
}

interface JobPod extends Pod {
  readonly spec: Pod["spec"] & {
    readonly containers: readonly { readonly command?: readonly string[] }[];
  };
}

const pollMs = 200;

/**
 * Stands in for the kubelets of plain nodes: runs the command of each Job's pod as a process, with a
 * kubeconfig of that pod's ServiceAccount, and tells the pod's end, so that the real Job controller
 * completes the Job. Pods that are deleted go at once.
 */
export function startHookRunner(
  plane: ControlPlane,
  { namespace, home }: { readonly namespace: string; readonly home: string },
): HookRunner {
  const { api } = plane;
  const stop = new AbortController();
  const runs: HookRun[] = [];
  const seen = new Set<string>();
  const path = `/api/v1/namespaces/${namespace}/pods`;

  async function run({ metadata, spec }: JobPod): Promise<void> {
    const { name = "", labels = {} } = metadata;
    const { serviceAccountName = "default", containers } = spec;
    const [, ...args] = containers[0]?.command ?? [];
    const kubeconfig = await plane.kubeconfigFor(namespace, serviceAccountName);
    const result = await runBallast(args, { home, env: { KUBECONFIG: kubeconfig } });
    runs.push({ job: labels["batch.kubernetes.io/job-name"] ?? "", args, ...result });
    const phase = result.code === 0 ? "Succeeded" : "Failed";
    await patchStatus(api, `${path}/${name}`, { phase });
  }

  async function look(): Promise<void> {
    const { items } = await listAll<JobPod>(api, { path });
    for (const pod of items) {
      const { uid = "", name = "", deletionTimestamp, labels = {} } = pod.metadata;
      if (deletionTimestamp !== undefined) await removeAtOnce(api, `${path}/${name}`);
      else if ("batch.kubernetes.io/job-name" in labels && !seen.has(uid)) {
        seen.add(uid);
        await run(pod);
      }
    }
  }

  async function work(): Promise<void> {
    while (!stop.signal.aborted) {
      await look();
      await sleep(pollMs, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  }

  const working = work();
  return {
    runs,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await working;
    },
  };
}

/** Ends a pod as a kubelet that has stopped its containers. */
async function removeAtOnce(api: ClusterApi, path: string): Promise<void> {
  const query = { gracePeriodSeconds: 0 };
  await unlessGone(api.call({ method: "DELETE", path, query }));
}

async function patchStatus(api: ClusterApi, path: string, status: unknown): Promise<void> {
  await unlessGone(api.call({ method: "PATCH", path: `${path}/status`, body: { status } }));
}

async function unlessGone(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!isApiError(error, 404)) throw error;
  }
}
