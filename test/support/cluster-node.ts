import { ballastProgram } from "./ballast-command.ts";
import type { ControlPlane } from "./control-plane.ts";
import { type NodeOptions, type NodeScene, openNodeScene } from "./node-scene.ts";
import type { PlainNodeOptions } from "./plain-node.ts";
import { type PodRunner, runPods } from "./pod-runner.ts";
import { type ProgramProcess, startProgram } from "./program-process.ts";

/**
 * A node of a control plane: agent, plugin and reporter, each a process with the rights it has in a
 * cluster, and in place of a kubelet what mounts the models of the pods that are bound here.
 */
export interface ClusterNode extends AsyncDisposable {
  readonly name: string;
  readonly scene: NodeScene;
  readonly pods: PodRunner;
  /** The reporter that runs now. */
  readonly reporter: ProgramProcess;
  startReporter(): Promise<void>;
}

export interface ClusterNodeOptions extends NodeOptions {
  readonly plane: ControlPlane;
  readonly name: string;
  /** Of Ballast, where the reporter's ServiceAccount is. */
  readonly namespace: string;
  readonly reporterFlags?: readonly string[] | undefined;
  /** Of the Node object. */
  readonly node?: PlainNodeOptions | undefined;
}

/** Adds the Node and starts what runs there. */
export async function openClusterNode(options: ClusterNodeOptions): Promise<ClusterNode> {
  const { plane, name, namespace, reporterFlags = [], node } = options;
  await using resources = new AsyncDisposableStack();
  await plane.addNode(name, node);
  const scene = resources.use(await openNodeScene({ ...options, nodeName: name }));
  const pods = resources.use(runPods({ api: plane.api, node: name, kubelet: scene.kubelet }));
  const kubeconfig = await plane.kubeconfigFor(namespace, "ballast-reporter", { node: name });
  let reporter: ProgramProcess | undefined;
  const startReporter = async () => {
    const program = options.programs?.ballast ?? ballastProgram;
    const flags = ["--node", name, "--namespace", namespace, "--run", scene.agent.run];
    flags.push("--kubeconfig", kubeconfig, "--listen", "127.0.0.1:0", ...reporterFlags);
    const command = [program, "reporter", ...flags] as const;
    const started = await startProgram(command, {
      ready: /"event":"reporter serves"/,
      timeoutMs: 60_000,
    });
    reporter = started.process;
  };
  await startReporter();
  resources.defer(() => reporter?.kill());
  const owned = resources.move();
  return {
    name,
    scene,
    pods,
    get reporter() {
      if (reporter === undefined) throw new Error("no reporter runs");
      return reporter;
    },
    startReporter,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
