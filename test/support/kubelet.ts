import { mkdir, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { status } from "@grpc/grpc-js";
import { createRpcClient } from "../../csi/rpc/client.ts";
import type { AccessMode, NodeCalls, VolumeUsage } from "../../csi/rpc/messages.ts";
import { nodeService } from "../../csi/rpc/services.ts";
import { digestHex, digestOf } from "../../src/core/digest.ts";
import { systemCode } from "../../src/core/errors.ts";
import { type KubeletDrivers, watchDrivers } from "./kubelet-drivers.ts";

/** A pod's volume, as its author wrote it. */
export interface PodVolume {
  readonly pod: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly serviceAccount: string;
  };
  /** Its name in the pod. */
  readonly name: string;
  readonly driver: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** What `nodePublishSecretRef` leads to. */
  readonly secrets?: Readonly<Record<string, string>> | undefined;
  readonly readOnly?: boolean | undefined;
  /** A PersistentVolume instead of an inline one. */
  readonly persistent?:
    | {
        readonly handle: string;
        readonly accessMode: AccessMode;
        readonly mountOptions?: readonly string[] | undefined;
      }
    | undefined;
  /** The CSIDriver has no podInfoOnMount. */
  readonly withoutPodInfo?: boolean | undefined;
}

/** One call and what came of it. */
interface Attempt {
  /** The gRPC code; 0 is success. */
  readonly code: status;
  readonly message: string;
  /** What the kubelet waited before the call, unscaled. */
  readonly gapMs: number;
  readonly heldMs: number;
}

export interface KubeletOptions {
  /** Of the real gaps between calls; default 0: none is waited for, all are recorded. */
  readonly gapScale?: number | undefined;
  /** Deadline of calls; a real one has 120 s. */
  readonly deadlineMs?: number | undefined;
}

/**
 * Calls a plugin as kubelet 1.36 was seen to do (docs/csi.md): registration, request shapes, deadlines,
 * gaps between retries, and which volumes it unpublishes. It knows nothing of the plugin's inside.
 */
export interface Kubelet extends AsyncDisposable {
  readonly root: string;
  readonly drivers: KubeletDrivers;
  /** Messages of FailedMount Events, in order. */
  readonly events: string[];
  targetOf(volume: PodVolume): string;
  handleOf(volume: PodVolume): string;
  /** What `publish` sends, for who makes the call by other means. */
  requestOf(volume: PodVolume): NodeCalls["NodePublishVolume"][0];
  /** One publish, with the questions about capabilities that go before it. */
  publish(volume: PodVolume, options?: { readonly signal?: AbortSignal }): Promise<Attempt>;
  /** Publishes until that succeeds, at most `most` times; resolves to all calls. */
  mount(volume: PodVolume, most?: number): Promise<Attempt[]>;
  /** One unpublish, whatever the kubelet knows of the volume. */
  unpublish(volume: PodVolume): Promise<Attempt>;
  /**
   * Deletes the pod: waits for a call in flight, then unpublishes unless the last answer was final, and
   * removes the pod's folder. Resolves to what was called.
   */
  deletePod(volume: PodVolume): Promise<Attempt[]>;
  /** Publishes everything mounted again, as after its own restart. */
  republishAll(): Promise<Attempt[]>;
  stats(volume: PodVolume): Promise<readonly VolumeUsage[]>;
}

/** Codes after which a kubelet holds a volume for possibly mounted. */
const openCodes = [
  status.CANCELLED,
  status.DEADLINE_EXCEEDED,
  status.UNAVAILABLE,
  status.RESOURCE_EXHAUSTED,
  status.ABORTED,
];
const firstGapMs = 500;
const longestGapMs = 122_000;

interface Known {
  readonly volume: PodVolume;
  state: "mounted" | "uncertain" | "absent";
  failures: number;
  inFlight: Promise<unknown>;
}

/** Starts it on a root folder, which gets the folders that a kubelet makes. */
export async function startKubelet(root: string, options: KubeletOptions = {}): Promise<Kubelet> {
  const { gapScale = 0, deadlineMs = 120_000 } = options;
  for (const folder of ["pods", "plugins", "plugins_registry"])
    await mkdir(join(root, folder), { recursive: true });
  const drivers = watchDrivers(join(root, "plugins_registry"));
  const known = new Map<string, Known>();
  const events: string[] = [];
  const targetOf = ({ pod, name }: PodVolume) =>
    join(root, "pods", pod.uid, "volumes", "kubernetes.io~csi", name, "mount");

  function remember(volume: PodVolume): Known {
    const entry = known.get(targetOf(volume)) ?? {
      volume,
      state: "absent" as const,
      failures: 0,
      inFlight: Promise.resolve(),
    };
    known.set(targetOf(volume), entry);
    return entry;
  }

  async function call<Name extends keyof NodeCalls>(
    volume: PodVolume,
    name: Name,
    request: NodeCalls[Name][0],
    given: { readonly deadline: number; readonly signal?: AbortSignal | undefined },
  ): Promise<NodeCalls[Name][1]> {
    const driver = drivers.get(volume.driver);
    if (driver === undefined) throw notFound(volume.driver);
    using client = createRpcClient(nodeService, driver.endpoint);
    const timeoutMs = Math.max(1, given.deadline - Date.now());
    const answer: unknown = await client.call(name, request as never, {
      timeoutMs,
      signal: given.signal,
    });
    return answer as NodeCalls[Name][1];
  }

  async function attempt(gapMs: number, work: () => Promise<unknown>): Promise<Attempt> {
    const started = performance.now();
    const [code, message] = await work().then(
      () => [status.OK, ""] as const,
      (error: unknown) => [codeOf(error), messageOf(error)] as const,
    );
    return { code, message, gapMs, heldMs: performance.now() - started };
  }

  async function publishOnce(
    volume: PodVolume,
    gapMs: number,
    signal?: AbortSignal,
  ): Promise<Attempt> {
    const entry = remember(volume);
    await mkdir(dirname(targetOf(volume)), { recursive: true, mode: 0o750 });
    const work = attempt(gapMs, async () => {
      const deadline = Date.now() + deadlineMs;
      for (let count = volume.persistent === undefined ? 2 : 4; count > 0; count--)
        await call(volume, "NodeGetCapabilities", {}, { deadline, signal });
      const request = publishRequest(volume, targetOf(volume));
      await call(volume, "NodePublishVolume", request, { deadline, signal });
    });
    entry.inFlight = work;
    const made = await work;
    if (made.code !== status.OK) events.push(eventOf(volume, made));
    if (entry.state !== "mounted")
      entry.state = openCodes.includes(made.code) ? "uncertain" : "absent";
    if (made.code === status.OK) entry.state = "mounted";
    entry.failures = made.code === status.OK ? 0 : entry.failures + 1;
    return made;
  }

  async function unpublishOnce(volume: PodVolume, gapMs = 0): Promise<Attempt> {
    const request = { volume_id: handleOf(volume), target_path: targetOf(volume) };
    const deadline = Date.now() + deadlineMs;
    const made = await attempt(gapMs, () =>
      call(volume, "NodeUnpublishVolume", request, { deadline }),
    );
    if (made.code === status.OK) remember(volume).state = "absent";
    return made;
  }

  /** Repeats a call with the kubelet's gaps until it succeeds. */
  async function repeat(
    once: (gapMs: number) => Promise<Attempt>,
    most: number,
    failures = 0,
  ): Promise<Attempt[]> {
    const made: Attempt[] = [];
    while (made.length < most) {
      const before = failures + made.length;
      const gapMs = before === 0 ? 0 : Math.min(firstGapMs * 2 ** (before - 1), longestGapMs);
      if (gapScale > 0) await delay(gapMs * gapScale);
      const last = await once(gapMs);
      made.push(last);
      if (last.code === status.OK) return made;
    }
    return made;
  }

  return {
    root,
    drivers,
    events,
    targetOf,
    handleOf,
    requestOf: (volume) => publishRequest(volume, targetOf(volume)),
    publish: (volume, { signal } = {}) => publishOnce(volume, 0, signal),
    mount: (volume, most = 20) =>
      repeat((gapMs) => publishOnce(volume, gapMs), most, remember(volume).failures),
    unpublish: (volume) => unpublishOnce(volume),
    async deletePod(volume) {
      const entry = remember(volume);
      await entry.inFlight;
      const made =
        entry.state === "absent" ? [] : await repeat((gapMs) => unpublishOnce(volume, gapMs), 20);
      known.delete(targetOf(volume));
      await removeEmptyFolders(dirname(targetOf(volume)), join(root, "pods"));
      return made;
    },
    async republishAll() {
      const mounted = [...known.values()].filter(({ state }) => state === "mounted");
      return Promise.all(mounted.map(({ volume }) => publishOnce(volume, 0)));
    },
    async stats(volume) {
      const request = { volume_id: handleOf(volume), volume_path: targetOf(volume) };
      const deadline = Date.now() + deadlineMs;
      return (await call(volume, "NodeGetVolumeStats", request, { deadline })).usage;
    },
    [Symbol.asyncDispose]: () => drivers[Symbol.asyncDispose](),
  };
}

/** The volume id: a PersistentVolume's handle, or what a kubelet makes of an inline volume. */
function handleOf({ persistent, pod, name }: PodVolume): string {
  return persistent?.handle ?? `csi-${digestHex(digestOf(pod.uid + name))}`;
}

function publishRequest(volume: PodVolume, target: string): NodeCalls["NodePublishVolume"][0] {
  const { pod, persistent, attributes, secrets = {}, readOnly = false } = volume;
  const keys = {
    "pod.name": pod.name,
    "pod.namespace": pod.namespace,
    "pod.uid": pod.uid,
    "serviceAccount.name": pod.serviceAccount,
    ephemeral: String(persistent === undefined),
  };
  const named = Object.entries(keys).map(([key, value]) => [`csi.storage.k8s.io/${key}`, value]);
  return {
    volume_id: handleOf(volume),
    target_path: target,
    // An inline volume is always said to be written, even where the pod's author says readOnly.
    volume_capability: {
      mount: { fs_type: "", mount_flags: persistent?.mountOptions ?? [] },
      access_mode: { mode: persistent?.accessMode ?? "SINGLE_NODE_WRITER" },
    },
    readonly: readOnly,
    secrets,
    volume_context: {
      ...attributes,
      ...(volume.withoutPodInfo === true ? {} : Object.fromEntries(named)),
    },
  };
}

function eventOf({ name }: PodVolume, { code, message }: Attempt): string {
  const words = (status[code] ?? "")
    .split("_")
    .map((word) => word[0] + word.slice(1).toLowerCase());
  return `MountVolume.SetUp failed for volume "${name}" : rpc error: code = ${words.join("")} desc = ${message}`;
}

/** No answer of a plugin, but a failure like one. */
function notFound(name: string): Error {
  const details = `driver name ${name} not found in the list of registered CSI drivers`;
  return Object.assign(new Error(details), { code: status.UNAVAILABLE, details });
}

function codeOf(error: unknown): status {
  const code: unknown = Reflect.get(Object(error), "code");
  if (typeof code !== "number") throw error;
  return code;
}

function messageOf(error: unknown): string {
  return String(Reflect.get(Object(error), "details"));
}

/** A kubelet removes folders one by one, so that it never reaches into a mount. */
async function removeEmptyFolders(path: string, until: string): Promise<void> {
  for (let folder = path; folder !== until; folder = dirname(folder)) {
    const failed = await rmdir(folder).catch((error: unknown) => systemCode(error));
    if (failed !== undefined && failed !== "ENOENT") return;
  }
}
