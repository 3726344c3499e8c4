import { execFileSync } from "node:child_process";
import { type Mounted, mountAt } from "./store-folders.ts";

/**
 * For `describe.skipIf(mountsMissing())`: true when this process may not mount filesystems, with the
 * reason on standard error. With CI=true it throws instead, because CI runs as root.
 */
export function mountsMissing(): boolean {
  try {
    // In a mount namespace of its own, which goes with it.
    run("unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/tmp");
    return false;
  } catch (error) {
    const reason = `cannot mount filesystems: ${String(error)}`;
    if (process.env["CI"] === "true") throw new Error(reason, { cause: error });
    process.stderr.write(`skipped: ${reason}\nRun the tests as root.\n`);
    return true;
  }
}

/** Calls `mount` with a new folder, which is unmounted when disposed. */
export async function mountNew(mount: (path: string) => Promise<void> | void): Promise<Mounted> {
  const mounted = await mountAt(async (path) => mount(path));
  if (typeof mounted === "string") throw new Error(mounted);
  return mounted;
}

/** A tmpfs of so many bytes and, if given, inodes. */
export async function mountSmallDisk(size: { bytes: number; inodes?: number }): Promise<Mounted> {
  const inodes = size.inodes === undefined ? "" : `,nr_inodes=${size.inodes}`;
  const options = `size=${size.bytes}${inodes}`;
  return mountNew((path) => void run("mount", "-t", "tmpfs", "-o", options, "tmpfs", path));
}

/** A new filesystem of `bytes` from a file, made by `mkfs`: a program and its flags. */
export async function mountImage(
  bytes: number,
  mkfs: readonly [program: string, ...flags: string[]],
): Promise<Mounted & { readonly image: string }> {
  const [program, ...flags] = mkfs;
  const mounted = await mountNew((path) => {
    run("truncate", "-s", String(bytes), `${path}.image`);
    run(program, ...flags, `${path}.image`);
    run("mount", "-o", "loop", `${path}.image`, path);
  });
  return { ...mounted, image: `${mounted.path}.image` };
}

/** Changes the options of a mounted filesystem: `ro`, `size=BYTES`. At once, for use in callbacks. */
export function remount(path: string, options: string): void {
  run("mount", "-o", `remount,${options}`, path);
}

/** Runs a program to its end; throws when it fails. */
export function run(program: string, ...args: string[]): string {
  return execFileSync(program, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}
