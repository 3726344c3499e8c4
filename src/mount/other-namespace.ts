import { closeSync, fstatSync, openSync, readFileSync } from "node:fs";
import { isModelError, ModelError, systemCode } from "../core/errors.ts";
import type { MountNamespace } from "./mount-namespace.ts";
import { changeRoot, enterMountNamespace, pathOnly, unsharePaths } from "./system-calls.ts";

/** A namespace that stays the same one, whatever becomes of the process that it was found by. */
export interface HeldNamespace extends MountNamespace, Disposable {}

const ownPath = "/proc/thread-self/ns/mnt";

/** What it takes, by bit in a set of capabilities (linux/capability.h). */
const capabilities: readonly (readonly [bit: bigint, name: string])[] = [
  [18n, "CAP_SYS_CHROOT"],
  [19n, "CAP_SYS_PTRACE"],
  [21n, "CAP_SYS_ADMIN"],
];

/**
 * Opens the mount namespace that a file of /proc names, such as `/proc/1/ns/mnt`, and enters it once to
 * see that it can. Throws MOUNT_FAILED, which names what is missing, also for the process's own.
 *
 * Only the thread that calls `within` goes there, and only for that long. From then on its root and its
 * working folder are its own; they are the same as before once it is back.
 */
export function openMountNamespace(path: string): HeldNamespace {
  using opened = new DisposableStack();
  const hold = (file: string, flags: string | number) =>
    opened.adopt(openSync(file, flags), closeSync);
  const before: Place = {
    namespace: hold(ownPath, "r"),
    root: hold("/", pathOnly),
    folder: hold(".", pathOnly),
  };
  try {
    const other = hold(path, "r");
    if (fstatSync(other).ino === fstatSync(before.namespace).ino)
      throw new ModelError("MOUNT_FAILED", `${path} is the mount namespace of this process itself`);
    const within = <T>(work: () => T): T => {
      // Threads that began since the last time share this one's root again.
      unsharePaths();
      enterMountNamespace(other, path);
      try {
        return work();
      } finally {
        goBack(before);
      }
    };
    within(() => undefined);
    const kept = opened.move();
    return { within, [Symbol.dispose]: () => kept.dispose() };
  } catch (error) {
    throw describe(path, error);
  }
}

/** Where a thread is. */
interface Place {
  readonly namespace: number;
  readonly root: number;
  readonly folder: number;
}

function goBack({ namespace, root, folder }: Place): void {
  try {
    enterMountNamespace(namespace, ownPath);
    changeRoot(root, folder);
  } catch {
    // Whatever this thread did next it would do in the other namespace, to files of the node.
    process.abort();
  }
}

/** Says what a process misses that could not enter, as far as it can know. */
function describe(path: string, error: unknown): unknown {
  const code = systemCode(isModelError(error) ? error.cause : error);
  if (code === undefined) return error;
  const message = `the mount namespace ${path} cannot be entered (${code})${reasonOf(code)}`;
  return new ModelError("MOUNT_FAILED", message, { cause: error });
}

function reasonOf(code: string): string {
  if (code !== "EPERM" && code !== "EACCES") return "";
  const missing = missingCapabilities();
  if (missing.length > 0) return `: it takes ${missing.join(" and ")}`;
  return ": no capability is missing, so seccomp, AppArmor or SELinux is in the way";
}

function missingCapabilities(): string[] {
  const status = readFileSync("/proc/thread-self/status", "utf8");
  const effective = BigInt(`0x${/^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? "0"}`);
  return capabilities.flatMap(([bit, name]) => (((effective >> bit) & 1n) === 1n ? [] : [name]));
}
