import { lutimes } from "node:fs";
import { lstat, readFile, readlink, rm, symlink, writeFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { undefinedIfMissing } from "./absence.ts";
import { ModelError, systemCode } from "./errors.ts";
import { ownProcess, processFate } from "./process-identity.ts";
import type { Abortable } from "./progress.ts";

/** How old a lock must be whose holder nobody here can ask (another container, another host). */
const unknownHolderMs = 30_000;
const longestPauseMs = 50;

export interface FileLockOptions extends Abortable {
  /** How long to wait for a living holder; default one minute. */
  readonly waitMs?: number | undefined;
}

/**
 * Runs `work` while holding the lock file at `path`; excludes other processes, and other callers
 * in this one. For short work: a holder that cannot be asked counts as dead after 30 seconds.
 * The lock of a dead process is broken. Rejects with STORE_LOCKED when the wait is over.
 */
export async function withFileLock<T>(
  path: string,
  work: () => Promise<T>,
  options: FileLockOptions = {},
): Promise<T> {
  await acquire(path, options);
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

/**
 * Takes the lock file at `path` for long work; undefined while somebody else has it. Its age shows
 * those who cannot ask the holder, on other hosts, that it lives.
 */
export async function tryFileLock(path: string): Promise<AsyncDisposable | undefined> {
  while (!(await tryCreate(path))) {
    if (!(await isStale(path))) return undefined;
    await breakLock(path, {});
  }
  const showLife = () => {
    const now = new Date();
    lutimes(path, now, now, () => undefined);
  };
  const timer = setInterval(showLife, unknownHolderMs / 3).unref();
  return {
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      const holder = await readHolder(path).catch(undefinedIfMissing);
      if (holder === ownProcess()) await rm(path, { force: true });
    },
  };
}

/** The identity of the process that has the lock file at `path` (process-identity.ts), if one has. */
export async function lockHolder(path: string): Promise<string | undefined> {
  return readHolder(path).catch(undefinedIfMissing);
}

async function acquire(path: string, options: FileLockOptions): Promise<void> {
  const deadline = performance.now() + (options.waitMs ?? 60_000);
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
    options.signal?.throwIfAborted();
    if (await tryCreate(path)) return;
    if (await isStale(path)) {
      await breakLock(path, options);
    } else if (performance.now() > deadline) {
      throw new ModelError("STORE_LOCKED", `${path} is held by another process`, {
        hint: "wait for it to end, or remove the file if no process uses the folder",
      });
    } else await pause(pauseMs, options.signal);
  }
}

/** A link that leads to the name of its holder: made in one step, so no kill leaves a nameless lock. */
async function tryCreate(path: string): Promise<boolean> {
  try {
    await symlink(ownProcess(), path);
    return true;
  } catch (error) {
    return systemCode(error) === "EEXIST" ? false : tryCreateFile(path);
  }
}

/** For filesystems without symbolic links. */
async function tryCreateFile(path: string): Promise<boolean> {
  try {
    await writeFile(path, ownProcess(), { flag: "wx", mode: 0o644 });
    return true;
  } catch (error) {
    if (systemCode(error) === "EEXIST") return false;
    // On a full disk the file is there, without the name of its holder.
    await rm(path, { force: true });
    throw error;
  }
}

async function pause(pauseMs: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await delay(pauseMs, undefined, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

/**
 * Only one process at a time may remove a lock that is not its own, and it judges again first:
 * otherwise the slower of two could remove the lock that the faster has just taken.
 */
async function breakLock(path: string, options: FileLockOptions): Promise<void> {
  const remove = async () => {
    if (await isStale(path)) await rm(path, { force: true });
  };
  await withFileLock(`${path}.break`, remove, options);
}

async function isStale(path: string): Promise<boolean> {
  try {
    const fate = processFate(await readHolder(path));
    if (fate !== "unknown") return fate === "gone";
    return Date.now() - (await lstat(path)).mtimeMs > unknownHolderMs;
  } catch (error) {
    if (systemCode(error) === "ENOENT") return false;
    throw error;
  }
}

async function readHolder(path: string): Promise<string> {
  try {
    return await readlink(path);
  } catch (error) {
    // It is a file.
    if (systemCode(error) !== "EINVAL") throw error;
    return readFile(path, "utf8");
  }
}
