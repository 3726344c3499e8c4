import { defaultNamespace } from "../../src/kubernetes/names.ts";
import { ballastProgram } from "./ballast-command.ts";
import { chart } from "./chart.ts";
import type { ControlPlane } from "./control-plane.ts";
import { freePorts } from "./free-ports.ts";
import { type ProgramProcess, startProgram } from "./program-process.ts";

/** Ballast as its chart installs it, with the pods of its Deployments played by processes. */
export interface InstalledCluster extends AsyncDisposable {
  readonly controller: ProgramProcess;
  readonly webhook: ProgramProcess;
  /** On 127.0.0.1. */
  readonly webhookPort: number;
  /** Starts the one that was ended anew. */
  startController(): Promise<void>;
  startWebhook(): Promise<void>;
}

export interface InstallOptions {
  readonly plane: ControlPlane;
  /** `--set` of the chart, as `path=value`. */
  readonly values?: readonly string[] | undefined;
  readonly controllerFlags?: readonly string[] | undefined;
  readonly webhookFlags?: readonly string[] | undefined;
  readonly program?: string | undefined;
}

/**
 * Installs the chart and starts the controller and the webhook, each with the token of its
 * ServiceAccount. What runs on nodes is started by `openClusterNode`.
 */
export async function installCluster(options: InstallOptions): Promise<InstalledCluster> {
  const { plane, values = [], controllerFlags = [], webhookFlags = [] } = options;
  const { program = ballastProgram } = options;
  await using resources = new AsyncDisposableStack();
  const [port = 0] = await freePorts(1);
  const sets = [`webhook.url=https://127.0.0.1:${port}/pods`, ...values];
  await plane.helm([
    "install",
    "ballast",
    chart,
    `--namespace=${defaultNamespace}`,
    "--create-namespace",
    ...sets.flatMap((each) => ["--set", each]),
  ]);
  const start = async (role: string, flags: readonly string[]) => {
    const kubeconfig = await plane.kubeconfigFor(defaultNamespace, `ballast-${role}`);
    const command = [
      program,
      role,
      "--namespace",
      defaultNamespace,
      "--kubeconfig",
      kubeconfig,
    ] as const;
    const started = await startProgram([...command, ...flags], {
      ready: /"event":"[a-z]+ serves"/,
      timeoutMs: 60_000,
    });
    return started.process;
  };
  const startController = () =>
    start("controller", ["--listen", "127.0.0.1:0", ...controllerFlags]);
  const startWebhook = () =>
    start("webhook", [
      "--listen",
      `127.0.0.1:${port}`,
      "--health-listen",
      "127.0.0.1:0",
      ...webhookFlags,
    ]);
  let controller = await startController();
  resources.defer(() => controller.kill());
  let webhook = await startWebhook();
  resources.defer(() => webhook.kill());
  const owned = resources.move();
  return {
    get controller() {
      return controller;
    },
    get webhook() {
      return webhook;
    },
    webhookPort: port,
    startController: async () => {
      controller = await startController();
    },
    startWebhook: async () => {
      webhook = await startWebhook();
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
