import { createKeyedMutex } from "../../src/core/keyed-mutex.ts";
import type { ClusterApi } from "../../src/kubernetes/api/cluster-api.ts";
import { followObjects } from "../../src/kubernetes/api/collection.ts";
import type {
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  PodVolume as VolumeOfPod,
} from "../../src/kubernetes/api/objects.ts";
import { driverName } from "../../src/kubernetes/names.ts";
import type { Kubelet, PodVolume } from "./kubelet.ts";

/** What a kubelet does with the pods of its node, as far as models go. Disposing stops it. */
export interface PodRunner extends AsyncDisposable {
  /** Volumes that are mounted, by `namespace/pod`. */
  readonly mounted: ReadonlyMap<string, readonly PodVolume[]>;
  /** What went wrong, for messages. */
  readonly failures: readonly string[];
}

export interface PodRunnerOptions {
  readonly api: ClusterApi;
  readonly node: string;
  readonly kubelet: Kubelet;
}

/**
 * Follows the pods that are bound to a node: mounts their models by the plugin, says that they run, and
 * when they are deleted unmounts and lets them go. No container is started.
 */
export function runPods({ api, node, kubelet }: PodRunnerOptions): PodRunner {
  const mounted = new Map<string, PodVolume[]>();
  const failures: string[] = [];
  const pods = createKeyedMutex();
  const running: Promise<void>[] = [];

  async function start(key: string, pod: Pod): Promise<void> {
    const volumes = await Promise.all((pod.spec.volumes ?? []).map((each) => find(pod, each)));
    const ours = volumes.filter((volume) => volume !== undefined);
    for (const volume of ours) {
      const last = (await kubelet.mount(volume)).at(-1);
      if (last?.code !== 0) throw new Error(`${key}: ${last?.message}`);
    }
    mounted.set(key, ours);
    const conditions = [{ type: "Ready", status: "True" }];
    const body = { status: { phase: "Running", conditions } };
    await api.call({ method: "PATCH", path: `${pathOf(pod)}/status`, body });
  }

  async function end(key: string, pod: Pod | undefined): Promise<void> {
    for (const volume of mounted.get(key) ?? []) await kubelet.deletePod(volume);
    mounted.delete(key);
    if (pod === undefined) return;
    const query = { gracePeriodSeconds: 0 };
    await api.call({ method: "DELETE", path: pathOf(pod), query }).catch(() => undefined);
  }

  async function find(pod: Pod, volume: VolumeOfPod): Promise<PodVolume | undefined> {
    const { name = "", namespace = "", uid = "" } = pod.metadata;
    const serviceAccount = pod.spec.serviceAccountName ?? "default";
    const base = { pod: { name, namespace, uid, serviceAccount }, name: volume.name };
    const { csi, persistentVolumeClaim } = volume;
    if (csi?.driver === driverName) {
      const { driver, volumeAttributes: attributes = {}, readOnly } = csi;
      return { ...base, driver, attributes, readOnly };
    }
    if (persistentVolumeClaim === undefined) return undefined;
    const claim = await api.call<PersistentVolumeClaim>({
      method: "GET",
      path: `/api/v1/namespaces/${namespace}/persistentvolumeclaims/${persistentVolumeClaim.claimName}`,
    });
    const path = `/api/v1/persistentvolumes/${claim.spec.volumeName}`;
    const { spec } = await api.call<PersistentVolume>({ method: "GET", path });
    if (spec.csi?.driver !== driverName) return undefined;
    const { driver, volumeHandle: handle, volumeAttributes: attributes = {} } = spec.csi;
    const persistent = { handle, accessMode: "MULTI_NODE_READER_ONLY" as const };
    return { ...base, driver, attributes, persistent };
  }

  function onChange(key: string, pod: Pod | undefined): void {
    const isEnding = pod === undefined || pod.metadata.deletionTimestamp !== undefined;
    const work = async () => {
      try {
        if (isEnding) await end(key, pod);
        else if (!mounted.has(key) && pod.status?.phase === "Pending") await start(key, pod);
      } catch (error) {
        failures.push(String(error));
      }
    };
    running.push(pods.hold(key, work));
  }

  const selector = { path: "/api/v1/pods", fieldSelector: `spec.nodeName=${node}` };
  const followed = followObjects<Pod>(api, selector, { onChange });
  return {
    mounted,
    failures,
    [Symbol.asyncDispose]: async () => {
      await followed[Symbol.asyncDispose]();
      await Promise.all(running);
    },
  };
}

function pathOf({ metadata }: Pod): string {
  return `/api/v1/namespaces/${metadata.namespace}/pods/${metadata.name}`;
}
