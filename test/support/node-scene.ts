import { randomUUID } from "node:crypto";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { socketPath } from "../../src/agent/api/routes.ts";
import { type AgentClient, createAgentClient } from "../../src/agent/client/client.ts";
import { readMountTable } from "../../src/mount/mount-table.ts";
import { unmountFlags, unmountPath } from "../../src/mount/system-calls.ts";
import { type AgentProcess, agentUser, startAgentProcess } from "./agent-process.ts";
import { driverName, pluginProgram } from "./csi-scene.ts";
import { type Kubelet, type KubeletOptions, type PodVolume, startKubelet } from "./kubelet.ts";
import { makeTemporaryFolder } from "./models.ts";
import { type ProgramProcess, startProgram } from "./program-process.ts";

/** A node as it runs: each program a process with the rights it asks for, and a stand-in kubelet. */
export interface NodeScene extends AsyncDisposable {
  readonly path: string;
  readonly kubelet: Kubelet;
  readonly agent: AgentProcess;
  /** The plugin that runs now: with CAP_SYS_ADMIN only, in a network namespace without a network. */
  readonly plugin: ProgramProcess;
  admin(): AgentClient;
  /** A volume of a new pod of the namespace. */
  volume(reference: string, changes?: Partial<PodVolume>): PodVolume;
  startPlugin(): Promise<void>;
  /** What a reboot does: no process, no mount and no run folder is left. */
  reboot(): Promise<void>;
  /** What is left of volumes anywhere: all 0 once the pods are gone. */
  leftovers(): Promise<Readonly<Record<string, number>>>;
}

export interface NodeOptions {
  /** Flags of the agent. */
  readonly agentFlags?: readonly string[] | undefined;
  /** Flags of the plugin. */
  readonly pluginFlags?: readonly string[] | undefined;
  /** The programs that run; by default this checkout's. */
  readonly programs?: { readonly ballast: string; readonly plugin: string } | undefined;
  readonly kubelet?: KubeletOptions | undefined;
  /** Default: `node-1`. */
  readonly nodeName?: string | undefined;
  /** An empty folder to use and leave, in place of a temporary one. */
  readonly folder?: string | undefined;
  /** Makes the store's folder, where it is to be a special one. */
  readonly prepare?: ((folder: string) => Promise<void>) | undefined;
}

/** Root without any right but to mount, in the agent's group, without a network. */
const leastPrivilege = [
  "setpriv",
  `--groups=${agentUser}`,
  "--inh-caps=-all",
  "--bounding-set=-all,+sys_admin",
  "unshare",
  "--net",
] as const;

/** Starts it in a folder of its own. At its end nothing of it is mounted or runs. */
export async function openNodeScene(options: NodeOptions = {}): Promise<NodeScene> {
  await using resources = new AsyncDisposableStack();
  const path = options.folder ?? resources.use(await makeTemporaryFolder()).path;
  const mountPoints = async () =>
    (await readMountTable())
      .map(({ mountPoint }) => mountPoint)
      .filter((mountPoint) => mountPoint.startsWith(`${path}/`));
  const unmountAll = async (below: string) => {
    for (const mountPoint of (await mountPoints()).reverse())
      if (mountPoint.startsWith(`${below}/`))
        unmountPath(mountPoint, unmountFlags.detach, mountPoint);
  };
  resources.defer(() => unmountAll(path));
  await options.prepare?.(path);
  const root = join(path, "k");
  const kubelet = resources.use(await startKubelet(root, options.kubelet));
  const { ballast, plugin: pluginPath = pluginProgram } = options.programs ?? {};
  const agent = resources.use(await startAgentProcess(path, options.agentFlags, ballast));
  const home = join(root, "plugins", driverName);
  await mkdir(home, { recursive: true });
  let plugin: ProgramProcess | undefined;
  let generation = 0;
  const startPlugin = async () => {
    const flags = ["--endpoint", `unix://${join(home, "csi.sock")}`, "--kubelet-root", root];
    const agentSocket = socketPath(agent.run, "mount");
    flags.push(
      "--agent-socket",
      agentSocket,
      "--node-id",
      options.nodeName ?? "node-1",
      "--store",
      agent.root,
    );
    const command = [pluginPath, ...flags, ...(options.pluginFlags ?? [])];
    const started = await startProgram([...leastPrivilege, ...command], {
      ready: /"event":"serving"/,
      timeoutMs: 30_000,
    });
    plugin = started.process;
    await kubelet.drivers.find(driverName, generation);
    generation += 1;
  };
  await startPlugin();
  resources.defer(() => plugin?.kill());
  const running = () => {
    if (plugin === undefined) throw new Error("no plugin runs");
    return plugin;
  };
  const admin = () => createAgentClient(socketPath(agent.run, "admin"));
  const owned = resources.move();
  return {
    path,
    kubelet,
    agent,
    get plugin() {
      return running();
    },
    admin,
    volume: (reference, changes) => ({
      pod: { name: "server-0", namespace: "team", uid: randomUUID(), serviceAccount: "default" },
      name: "model",
      driver: driverName,
      attributes: { reference },
      ...changes,
    }),
    startPlugin,
    reboot: async () => {
      await running().kill();
      await agent.kill();
      await unmountAll(root);
      await agent.clearRun();
      await agent.start();
      await startPlugin();
    },
    leftovers: async () => {
      const pods = await readdir(join(root, "pods"), { recursive: true });
      const states = await readdir(join(home, "state", "volumes"));
      return {
        mounts: (await mountPoints()).filter((mount) => mount.startsWith(`${root}/`)).length,
        leases: (await admin().leases()).length,
        states: states.filter((name) => name.endsWith(".json")).length,
        targets: pods.filter((name) => name.endsWith("/mount")).length,
      };
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
