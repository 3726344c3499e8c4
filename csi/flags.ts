import { isAbsolute, normalize } from "node:path";
import { Command, InvalidArgumentError } from "commander";
import type { HealthAddress } from "./health.ts";
import type { PluginOptions } from "./plugin.ts";
import type { Patience } from "./volume/context.ts";
import { defaultPatience } from "./volume/context.ts";

export type PluginFlags = Omit<PluginOptions, "log" | "version">;

interface RawFlags {
  readonly endpoint: string;
  readonly kubeletEndpoint?: string;
  readonly agentSocket: string;
  readonly nodeId: string;
  readonly kubeletRoot: string;
  readonly driverName: string;
  readonly mountNamespace?: string;
  readonly state?: string;
  readonly store?: string;
  readonly health?: HealthAddress;
  readonly pods: "required" | "optional";
  readonly firstAnswer: number;
  readonly hold: number;
  readonly agentWait: number;
  readonly reconcile: number;
}

/** Limits of CSI: a driver's name, as csi-sanity checks it, and the bytes of a node's id. */
const driverNamePattern = /^[a-zA-Z][A-Za-z0-9\-._]{0,61}[a-zA-Z]$/;
const maxNodeIdBytes = 256;

/** Builds the command line; `run` is called with what was said. */
export function createCommand(
  version: string,
  run: (flags: PluginFlags) => Promise<void>,
): Command {
  const seconds = (ms: number) => ms / 1000;
  return new Command("ballast-csi")
    .description(
      "Mounts models read-only into pods: the CSI plugin of a node. It needs the right to mount, an agent's socket, and no network.",
    )
    .version(`ballast-csi ${version}`, "-V, --version", "print the version")
    .requiredOption("--endpoint <url>", "socket to serve CSI on, unix:///csi/csi.sock", parseSocket)
    .option(
      "--kubelet-endpoint <path>",
      "the same socket as a path of the host (default: the endpoint, or below the kubelet's plugins folder)",
      parsePath,
    )
    .requiredOption("--agent-socket <path>", "the agent's socket for the plugin", parsePath)
    .requiredOption("--node-id <name>", "this node's name in the cluster", parseNodeId)
    .option("--kubelet-root <path>", "the kubelet's --root-dir", parsePath, "/var/lib/kubelet")
    .option(
      "--mount-namespace <path>",
      "mount in the namespace that this file of /proc names, the node's: /proc/1/ns/mnt (default: the plugin's own)",
      parsePath,
    )
    .option("--driver-name <name>", "as in the CSIDriver object", parseName, "csi.ballast.dev")
    .option(
      "--state <path>",
      "folder to keep state in (default: state, beside the endpoint)",
      parsePath,
    )
    .option("--store <path>", "mount folders below this one only (default: any)", parsePath)
    .option("--health <address>", "serve /healthz on unix:///path or [HOST]:PORT", parseHealth)
    .option(
      "--pods <policy>",
      "required: each volume is of a pod that the kubelet names; optional: for other orchestrators",
      parsePods,
      "required",
    )
    .option(
      "--first-answer <seconds>",
      "answer the first call for a model that is not here after this",
      parseSeconds,
      seconds(defaultPatience.firstAnswerMs),
    )
    .option(
      "--hold <seconds>",
      "hold later calls so long",
      parseSeconds,
      seconds(defaultPatience.holdMs),
    )
    .option(
      "--agent-wait <seconds>",
      "wait so long for an agent that does not answer",
      parseSeconds,
      seconds(defaultPatience.agentMs),
    )
    .option(
      "--reconcile <seconds>",
      "compare leases, mounts and pods so often",
      parseSeconds,
      seconds(defaultPatience.reconcileMs),
    )
    .helpOption("-h, --help", "explain the command")
    .action((raw: RawFlags) => run(readFlags(raw)));
}

function readFlags(raw: RawFlags): PluginFlags {
  const patience: Partial<Patience> = {
    firstAnswerMs: raw.firstAnswer * 1000,
    holdMs: raw.hold * 1000,
    agentMs: raw.agentWait * 1000,
    reconcileMs: raw.reconcile * 1000,
  };
  const { endpoint, kubeletEndpoint, agentSocket, nodeId, kubeletRoot } = raw;
  return {
    endpoint,
    kubeletEndpoint,
    agentSocket,
    nodeId,
    kubeletRoot,
    driverName: raw.driverName,
    mountNamespace: raw.mountNamespace,
    stateFolder: raw.state,
    storeRoot: raw.store,
    health: raw.health,
    pods: raw.pods,
    patience,
  };
}

function parseSocket(text: string): string {
  return parsePath(text.replace(/^unix:(?:\/\/)?/, ""));
}

/** Spelled in one way, as paths of volumes are compared with it. */
function parsePath(text: string): string {
  if (isAbsolute(text)) return normalize(text).replace(/(?<=.)\/$/, "");
  throw new InvalidArgumentError("It must be an absolute path.");
}

function parseNodeId(text: string): string {
  const bytes = Buffer.byteLength(text);
  if (bytes >= 1 && bytes <= maxNodeIdBytes) return text;
  throw new InvalidArgumentError(`It must have 1 to ${maxNodeIdBytes} bytes.`);
}

function parseName(text: string): string {
  if (driverNamePattern.test(text)) return text;
  throw new InvalidArgumentError("It must be like a domain name, such as csi.ballast.dev.");
}

function parseHealth(text: string): HealthAddress {
  if (text.startsWith("unix:")) return { kind: "unix", path: parseSocket(text) };
  const [, bracketed, plain = "", digits] =
    /^(?:\[([0-9a-f:.]+)\]|([^:/\s[\]]*)):(\d{1,5})$/i.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65_535)
    throw new InvalidArgumentError("It must be unix:///path or [HOST]:PORT.");
  const host = bracketed ?? plain;
  return { kind: "tcp", host: host === "" ? undefined : host, port };
}

function parsePods(text: string): "required" | "optional" {
  if (text === "required" || text === "optional") return text;
  throw new InvalidArgumentError("It must be required or optional.");
}

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (/^\d+(?:\.\d+)?$/.test(text) && seconds <= 86_400) return seconds;
  throw new InvalidArgumentError("It must be a number of seconds.");
}
