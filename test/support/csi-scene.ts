import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type Plugin, type PluginOptions, startPlugin } from "../../csi/plugin.ts";
import type { Patience } from "../../csi/volume/context.ts";
import { undefinedIfMissing } from "../../src/core/absence.ts";
import { type MountEntry, readMountTable } from "../../src/mount/mount-table.ts";
import { unmountFlags, unmountPath } from "../../src/mount/system-calls.ts";
import { type FakeAgent, startFakeAgent } from "./fake-agent.ts";
import { type Kubelet, type KubeletOptions, type PodVolume, startKubelet } from "./kubelet.ts";
import { makeTemporaryFolder } from "./models.ts";
import { type ProgramProcess, startProgram } from "./program-process.ts";

export const driverName = "csi.ballast.dev";
export const modelReference = "registry.example.com/team/model:v1";
export const modelFiles: Readonly<Record<string, string>> = {
  "config.json": '{"model_type":"llama"}',
  "weights/model.safetensors": "w".repeat(4096),
};
export const pluginProgram: string = join(import.meta.dirname, "../../bin/ballast-csi");

/** Waits that tests can afford; what a test is about it sets itself. */
const quickPatience: Partial<Patience> = {
  firstAnswerMs: 200,
  holdMs: 30_000,
  agentMs: 300,
  releaseMs: 300,
  retryMs: 20,
};

/** A node with a kubelet and an agent, both stand-ins, in a folder of its own. */
export interface CsiScene extends AsyncDisposable {
  readonly path: string;
  readonly kubelet: Kubelet;
  readonly agent: FakeAgent;
  readonly endpoint: string;
  readonly stateFolder: string;
  /** Lines that plugins in this process logged. */
  readonly log: string[];
  /** Starts a plugin in this process. */
  start(options?: Partial<PluginOptions>): Promise<Plugin>;
  /** Starts the program, and waits until the kubelet knows it. */
  startProcess(options?: {
    readonly flags?: readonly string[] | undefined;
    /** Runs it through another program. */
    readonly wrapper?: readonly string[] | undefined;
  }): Promise<ProgramProcess>;
  /** A volume of a new pod, with what is to be different. */
  volume(changes?: Partial<PodVolume>): PodVolume;
  mounts(): Promise<MountEntry[]>;
  /** Names of state files, and what is in them. */
  states(): Promise<Map<string, unknown>>;
  /** What is left of volumes anywhere: `{ mounts: 0, leases: 0, states: 0, targets: 0 }`. */
  leftovers(): Promise<Readonly<Record<string, number>>>;
}

/** Opens it with one model. At its end, or its test's, everything mounted in its folder is unmounted. */
export async function openCsiScene(options: KubeletOptions = {}): Promise<CsiScene> {
  await using owned = new AsyncDisposableStack();
  const folder = owned.use(await makeTemporaryFolder());
  const { path } = folder;
  const mounts = async () => {
    const below = (await readMountTable()).filter(({ mountPoint }) =>
      mountPoint.startsWith(`${path}/`),
    );
    return below;
  };
  owned.defer(async () => {
    for (const { mountPoint } of (await mounts()).reverse())
      unmountPath(mountPoint, unmountFlags.detach, mountPoint);
  });
  const root = join(path, "k");
  const kubelet = owned.use(await startKubelet(root, options));
  const agent = owned.use(await startFakeAgent(path));
  await agent.addModel(modelReference, modelFiles);
  const endpoint = join(root, "plugins", driverName, "csi.sock");
  const stateFolder = join(root, "plugins", driverName, "state");
  await mkdir(join(root, "plugins", driverName));
  const log: string[] = [];
  let registrations = 0;

  const states = async () => {
    const names = await readdir(join(stateFolder, "volumes")).catch(() => []);
    const texts = names
      .filter((name) => name.endsWith(".json"))
      .map(async (name) => {
        const path = join(stateFolder, "volumes", name);
        const text = await readFile(path, "utf8").catch(undefinedIfMissing);
        return text === undefined ? [] : [[name, JSON.parse(text) as unknown] as const];
      });
    return new Map((await Promise.all(texts)).flat());
  };
  const kept = owned.move();
  // A test that runs out of time never comes to the end of its scope.
  onTestFinished(() => kept.disposeAsync());
  const scene: CsiScene = {
    path,
    kubelet,
    agent,
    endpoint,
    stateFolder,
    log,
    async start(changes) {
      const plugin = await startPlugin({
        endpoint,
        agentSocket: agent.socketPath,
        nodeId: "node-1",
        kubeletRoot: root,
        driverName,
        version: "0.0.0",
        storeRoot: agent.storeRoot,
        log: (event, facts) => void log.push(JSON.stringify({ event, ...facts })),
        ...changes,
        patience: { ...quickPatience, ...changes?.patience },
      });
      kept.use(plugin);
      await kubelet.drivers.find(driverName, registrations++);
      return plugin;
    },
    async startProcess({ flags = [], wrapper = [] } = {}) {
      const command = [
        ...wrapper,
        pluginProgram,
        "--endpoint",
        `unix://${endpoint}`,
        "--agent-socket",
        agent.socketPath,
        "--node-id",
        "node-1",
        "--kubelet-root",
        root,
        "--store",
        agent.storeRoot,
        "--first-answer",
        "0.2",
        "--agent-wait",
        "1",
        ...flags,
      ];
      const [program = "", ...args] = command;
      const ready = { ready: /"event":"serving"/, timeoutMs: 30_000 };
      const started = await startProgram([program, ...args], ready);
      kept.use(started.process);
      await kubelet.drivers.find(driverName, registrations++);
      return started.process;
    },
    volume: (changes) => ({
      pod: {
        name: "server-0",
        namespace: "team",
        uid: randomUUID(),
        serviceAccount: "default",
      },
      name: "model",
      driver: driverName,
      attributes: { reference: modelReference },
      ...changes,
    }),
    mounts,
    states,
    async leftovers() {
      const pods = await readdir(join(root, "pods"), { recursive: true });
      return {
        mounts: (await mounts()).length,
        leases: agent.leases.size,
        states: (await states()).size,
        targets: pods.filter((name) => name.endsWith("/mount")).length,
      };
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
  return scene;
}

/** What `leftovers` is after all volumes are gone. */
export const nothingLeft: Readonly<Record<string, number>> = {
  mounts: 0,
  leases: 0,
  states: 0,
  targets: 0,
};
