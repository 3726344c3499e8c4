import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { openStore, type Store } from "../../src/store/store.ts";

/** A folder of a test's own, removed when disposed, whatever is read-only in it. */
export async function makeFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "ballast-store-"));
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      await promisify(execFile)("chmod", ["-R", "u+w", path]).catch(() => undefined);
      await rm(path, { recursive: true, force: true });
    },
  };
}

/** A new store in a folder of its own. */
export async function makeStore(): Promise<Store> {
  const folder = await makeFolder();
  const store = await openStore(join(folder.path, "store"));
  return {
    ...store,
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** A small filesystem of its own, unmounted when disposed. */
export interface Mounted extends AsyncDisposable {
  readonly path: string;
}

/** Mounts a tmpfs of `bytes`; a sentence instead when this process may not. */
export async function mountTmpfs(bytes: number): Promise<Mounted | string> {
  return mountAt((path) => run("mount", "-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", path));
}

/** Mounts a new ext4 of `bytes` from a file; a sentence instead when this process may not. */
export async function mountExt4(bytes: number): Promise<Mounted | string> {
  return mountAt(async (path) => {
    const image = `${path}.image`;
    await run("truncate", "-s", String(bytes), image);
    await run("mkfs.ext4", "-q", "-O", "^has_journal", image);
    await run("mount", "-o", "loop", image, path);
  });
}

/** Calls `mount` with a new folder; a sentence instead when this process may not mount there. */
export async function mountAt(mount: (path: string) => Promise<void>): Promise<Mounted | string> {
  const folder = await makeFolder();
  const path = join(folder.path, "mount");
  await mkdir(path);
  try {
    await mount(path);
  } catch (error) {
    await folder[Symbol.asyncDispose]();
    return `cannot mount: ${error instanceof Error ? error.message : String(error)}`;
  }
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      await run("umount", "-l", path);
      await folder[Symbol.asyncDispose]();
    },
  };
}

async function run(program: string, ...args: string[]): Promise<void> {
  await promisify(execFile)(program, args);
}
