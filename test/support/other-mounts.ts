import { spawn } from "node:child_process";
import { once } from "node:events";
import { readlink } from "node:fs/promises";

/** The capabilities with which the plugin mounts in the node's namespace from a container of its own. */
export const needed = ["sys_admin", "sys_chroot", "sys_ptrace"] as const;

/** The flag of a plugin that mounts where this process is. */
export const mountHere: readonly string[] = ["--mount-namespace", `/proc/${process.pid}/ns/mnt`];

/**
 * Wraps a program as a container does: with mounts of its own that nobody else is shown, without a
 * network, and as root with no other right than these. `first` are lines of a shell in there.
 */
export function apart(capabilities: readonly string[] = needed, first = ":"): readonly string[] {
  const rights = ["-all", ...capabilities.map((name) => `+${name}`)].join(",");
  const own = ["unshare", "--net", "--mount", "--propagation", "private"];
  const shell = ["sh", "-ec", `${first}\nexec "$@"`, "sh"];
  return [...own, ...shell, "setpriv", "--inh-caps=-all", `--bounding-set=${rights}`];
}

/** A process that waits in a mount namespace of its own. */
export interface OtherMounts extends AsyncDisposable {
  /** The file of /proc that names the namespace. */
  readonly path: string;
  readonly pid: number;
}

/** Starts one, and runs these lines of a shell in it first. */
export async function startOtherMounts(first: string): Promise<OtherMounts> {
  const lines = `${first}\necho ready\nexec sleep 600`;
  const own = ["--mount", "--propagation", "private", "sh", "-ec", lines];
  const child = spawn("unshare", own, { stdio: ["ignore", "pipe", "inherit"] });
  const ended = once(child, "close");
  await Promise.race([once(child.stdout, "data"), ended]);
  const pid = child.pid ?? -1;
  const path = `/proc/${pid}/ns/mnt`;
  // It ended where it could not do what it was told.
  await readlink(path);
  return {
    path,
    pid,
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
