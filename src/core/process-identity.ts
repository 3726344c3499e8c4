import { hash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import { bootId } from "./boot-id.ts";
import { systemCode } from "./errors.ts";

const identityPattern = /^([0-9a-f]{8})\.([0-9a-f]{8})\.(\d+)\.(\d+)\.(\d+)$/;
let own: string | undefined;

/**
 * Names this process across reboots, hosts and containers, in characters that a file name may
 * have: `<host>.<boot>.<pid namespace>.<pid>.<start time>`. Facts the system does not tell are 0.
 */
export function ownProcess(): string {
  own ??= [
    shortHash(`${hostname()} ${readText("/etc/machine-id") ?? ""}`),
    shortHash(bootId() ?? ""),
    /\d+/.exec(readLink("/proc/self/ns/pid") ?? "")?.[0] ?? "0",
    process.pid,
    readProcessStat(process.pid)?.startTime ?? "0",
  ].join(".");
  return own;
}

/**
 * Tells what became of the process that `identity` names. `unknown` when it ran in another
 * container or on another host, where nobody here can ask, or when the text is no identity.
 */
export function processFate(identity: string): "alive" | "gone" | "unknown" {
  const match = identityPattern.exec(identity);
  const self = identityPattern.exec(ownProcess());
  if (match === null || self === null) return "unknown";
  const [, host, boot, namespace, pid, startTime] = match;
  if (host !== self[1]) return "unknown";
  if (boot !== self[2]) return "gone";
  if (namespace !== self[3]) return "unknown";
  if (!isRunning(Number(pid))) return "gone";
  const found = readProcessStat(Number(pid));
  if (found === undefined) return "alive";
  return found.state === "Z" || found.startTime !== startTime ? "gone" : "alive";
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if (systemCode(error) === "EPERM") return true;
    if (systemCode(error) === "ESRCH") return false;
    throw error;
  }
}

/** State and start time of a process (proc_pid_stat(5)); the name in parentheses may hold anything. */
function readProcessStat(pid: number): { state: string; startTime: string } | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  const [state, ...fields] = stat?.slice(stat.lastIndexOf(")") + 2).split(" ") ?? [];
  const startTime = fields[18];
  return state === undefined || startTime === undefined ? undefined : { state, startTime };
}

function readText(path: string): string | undefined {
  return orUndefined(() => readFileSync(path, "utf8"));
}

function readLink(path: string): string | undefined {
  return orUndefined(() => readlinkSync(path));
}

/** Systems without /proc, and processes that ended in between, have no answer. */
function orUndefined(read: () => string): string | undefined {
  try {
    return read();
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    return undefined;
  }
}

function shortHash(text: string): string {
  return hash("sha256", text, "hex").slice(0, 8);
}
