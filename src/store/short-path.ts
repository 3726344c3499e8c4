import { lstat, mkdtemp, readdir, readlink, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { systemCode } from "../core/errors.ts";
import { ownProcess, processFate } from "../core/process-identity.ts";

const prefix = "blst-";
const ownName = new RegExp(`^${prefix}[0-9A-Za-z]{6}$`);
/** Tells in such a folder which process made it. */
const ownerLink = "owner";
/** How old a folder must be whose maker nobody here can ask, or who was killed before it said its name. */
const unknownOwnerMs = 30_000;

/** Unix socket names hold about 100 bytes: a deep path is reached through a short symbolic link. */
export async function withShortPath<T>(
  path: string,
  work: (short: string) => Promise<T>,
): Promise<T> {
  if (Buffer.byteLength(path) < 100) return work(path);
  const folder = await mkdtemp(join(tmpdir(), prefix));
  try {
    await symlink(ownProcess(), join(folder, ownerLink));
    await symlink(resolve(dirname(path)), join(folder, "r"));
    return await work(join(folder, "r", basename(path)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Removes what `withShortPath` left in processes that were killed. */
export async function sweepShortPaths(): Promise<void> {
  // Where there is no such folder, or none that we may read, there is nothing of ours.
  const names = await readdir(tmpdir()).catch(() => []);
  for (const name of names) {
    const folder = join(tmpdir(), name);
    if (ownName.test(name) && (await isLeftOver(folder)))
      await rm(folder, { recursive: true, force: true });
  }
}

async function isLeftOver(folder: string): Promise<boolean> {
  try {
    const { uid, mtimeMs } = await lstat(folder);
    if (uid !== process.geteuid?.()) return false;
    const fate = processFate(await readOwner(folder));
    return fate === "unknown" ? Date.now() - mtimeMs > unknownOwnerMs : fate === "gone";
  } catch (error) {
    // It has just been removed.
    if (systemCode(error) === "ENOENT") return false;
    throw error;
  }
}

/** Empty when it does not say. */
async function readOwner(folder: string): Promise<string> {
  try {
    return await readlink(join(folder, ownerLink));
  } catch (error) {
    if (systemCode(error) === "ENOENT") return "";
    throw error;
  }
}
