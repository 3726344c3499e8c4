import { constants } from "node:os";
import koffi from "koffi";
import { ModelError } from "../core/errors.ts";

/** An open folder, and the path by which messages name it. */
export interface OpenFolder {
  readonly fd: number;
  readonly path: string;
}

/** Flags of mount(2) and umount2(2), as linux/mount.h has them. */
export const mountFlags = {
  readOnly: 1,
  noSuid: 2,
  noDev: 4,
  noExec: 8,
  remount: 32,
  bind: 4096,
  move: 8192,
  private: 262_144,
} as const;
export const unmountFlags = { detach: 2, noFollow: 8 } as const;
/** O_PATH of open(2): enough to name what is in a folder, and needs no right to read it. */
export const pathOnly = 0o10000000;

// The same on every architecture (unlike older calls); glibc before 2.36 and musl lack the functions.
const [openTreeCall, moveMountCall, mountSetattrCall] = [428, 429, 442];
const openTreeClone = 1;
const closeOnExec = 0o2000000;
const atEmptyPath = 0x1000;
const [fromEmptyPath, toEmptyPath] = [0x4, 0x40];
// CLONE_FS and CLONE_NEWNS of linux/sched.h.
const [threadPaths, mountNamespace] = [0x200, 0x20000];
const mountAttributesBytes = 32;

interface Calls {
  readonly openTree: (number: number, fd: number, path: string, flags: number) => number;
  readonly mountSetattr: (...args: [number, number, string, number, Buffer, number]) => number;
  readonly moveMount: (...args: [number, number, string, number, string, number]) => number;
  readonly mount: (...args: [string, string, string | null, number, null]) => number;
  readonly umount2: (path: string, flags: number) => number;
  readonly unshare: (flags: number) => number;
  readonly setns: (fd: number, kind: number) => number;
  readonly fchdir: (fd: number) => number;
  readonly chroot: (path: string) => number;
}

let loaded: Calls | undefined;

/**
 * open_tree(2): a detached mount that shows `folder` and what is in it, without mounts below it.
 * Returns its descriptor, which the caller closes; a mount that was attached nowhere goes with it.
 */
export function cloneMount(folder: OpenFolder): number {
  const flags = openTreeClone | closeOnExec | atEmptyPath;
  const fd = calls().openTree(openTreeCall, folder.fd, "", flags);
  return check(fd, "open_tree", folder.path);
}

/** mount_setattr(2): `ro,nosuid,nodev,noexec` and no part in anybody's propagation, in one step. */
export function protectMount(mountFd: number, path: string): void {
  const { readOnly, noSuid, noDev, noExec } = mountFlags;
  const attributes = Buffer.alloc(mountAttributesBytes);
  attributes.writeBigUInt64LE(BigInt(readOnly | noSuid | noDev | noExec), 0);
  attributes.writeBigUInt64LE(BigInt(mountFlags.private), 16);
  const size = attributes.byteLength;
  check(
    calls().mountSetattr(mountSetattrCall, mountFd, "", atEmptyPath, attributes, size),
    "mount_setattr",
    path,
  );
}

/** move_mount(2): attaches a detached mount at an open folder, whatever the folder's name leads to. */
export function attachMount(mountFd: number, target: OpenFolder): void {
  const flags = fromEmptyPath | toEmptyPath;
  check(
    calls().moveMount(moveMountCall, mountFd, "", target.fd, "", flags),
    "move_mount",
    target.path,
  );
}

/** mount(2), without a filesystem type or options of one; `name` is the target in messages. */
export function mountClassic(source: string, target: string, flags: number, name: string): void {
  check(calls().mount(source, target, null, flags, null), "mount", name);
}

/** umount2(2); `name` is the path in messages. */
export function unmountPath(path: string, flags: number, name: string): void {
  check(calls().umount2(path, flags), "umount2", name);
}

/** unshare(2): gives this thread a root and a working folder of its own, which so far are the same. */
export function unsharePaths(): void {
  check(calls().unshare(threadPaths), "unshare", "this thread");
}

/**
 * setns(2): puts this thread into a mount namespace, with that one's root for its root and working
 * folder. The kernel refuses where other threads share these.
 */
export function enterMountNamespace(fd: number, name: string): void {
  check(calls().setns(fd, mountNamespace), "setns", name);
}

/** chroot(2) and fchdir(2), to open folders. */
export function changeRoot(rootFd: number, workingFd: number): void {
  check(calls().fchdir(rootFd), "fchdir", "the root");
  check(calls().chroot("."), "chroot", "the root");
  check(calls().fchdir(workingFd), "fchdir", "the working folder");
}

/** Tells whether a MOUNT_FAILED says that this kernel, or its filter of calls, does not have the call. */
export function isCallMissing(error: unknown): boolean {
  if (!(error instanceof ModelError) || error.code !== "MOUNT_FAILED") return false;
  const errno: unknown = Reflect.get(Object(error.cause), "errno");
  // Filters of older container runtimes answer EPERM for calls they do not know.
  return errno === constants.errno.ENOSYS || errno === constants.errno.EPERM;
}

function calls(): Calls {
  if (loaded !== undefined) return loaded;
  // The C library that this process runs with, whichever it is.
  const library = koffi.load(null);
  const syscall = (...args: string[]) => library.func("syscall", "long", ["long", ...args]);
  loaded = {
    openTree: syscall("int", "str", "uint"),
    mountSetattr: syscall("int", "str", "uint", "void *", "size_t"),
    moveMount: syscall("int", "str", "int", "str", "uint"),
    mount: library.func("mount", "int", ["str", "str", "str", "ulong", "void *"]),
    umount2: library.func("umount2", "int", ["str", "int"]),
    unshare: library.func("unshare", "int", ["int"]),
    setns: library.func("setns", "int", ["int", "int"]),
    fchdir: library.func("fchdir", "int", ["int"]),
    chroot: library.func("chroot", "int", ["str"]),
  };
  return loaded;
}

function check(result: number, call: string, path: string): number {
  if (result >= 0) return result;
  const errno = koffi.errno();
  const name = Object.entries(constants.errno).find(([, number]) => number === errno)?.[0];
  const cause = Object.assign(new Error(`${call}: ${name ?? errno}`), { code: name, errno });
  throw new ModelError("MOUNT_FAILED", `${call} failed at ${path}: ${name ?? `error ${errno}`}`, {
    hint: name === "EPERM" ? "mounting takes CAP_SYS_ADMIN" : undefined,
    cause,
  });
}
