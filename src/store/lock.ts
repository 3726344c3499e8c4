import { randomBytes } from "node:crypto";
import { link, readdir, rm, unlink } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ModelError, systemCode } from "../core/errors.ts";
import { tryFileLock, withFileLock } from "../core/file-lock.ts";
import type { Abortable } from "../core/progress.ts";
import { withShortPath } from "../core/short-path.ts";
import { unlessAborted } from "../core/unless-aborted.ts";

/** Between two looks at a lock that is held. */
const pauseMs = 200;

export interface LockOptions extends Abortable {
  /** Wait for the owner to finish instead of rejecting with STORE_LOCKED. */
  readonly wait?: boolean | undefined;
  /** Called once, when the wait begins. */
  readonly onWait?: (() => void) | undefined;
  /**
   * `socket` (the default) tells the living from the dead at once, on one host. `file` is for what
   * several hosts see: the dead of another one count as such after half a minute. `either` is a
   * socket, or a file where the filesystem has no sockets.
   */
  readonly kind?: "socket" | "file" | "either" | undefined;
}

/**
 * Takes the lock of a store: a listening unix socket at `path`. One that answers is held; one that
 * refuses was left by a dead process and is taken over. Rejects with STORE_LOCKED, and with the
 * system's error where no lock can be made.
 */
export async function acquireLock(
  path: string,
  options: LockOptions = {},
): Promise<AsyncDisposable> {
  let told = false;
  for (;;) {
    options.signal?.throwIfAborted();
    const lock = await tryLock(path, options);
    if (lock !== undefined) return lock;
    if (options.wait !== true)
      throw new ModelError(
        "STORE_LOCKED",
        `the store ${dirname(path)} is in use by another process`,
        {
          hint: "wait for it to finish, or use another --store",
        },
      );
    if (!told) options.onWait?.();
    told = true;
    await unlessAborted(sleep(pauseMs), options.signal);
  }
}

async function tryLock(path: string, { kind }: LockOptions): Promise<AsyncDisposable | undefined> {
  if (kind === "file") return tryFileLock(path);
  try {
    return await trySocket(path);
  } catch (error) {
    if (kind !== "either" || !isNotSupported(error)) throw error;
    return tryFileLock(path);
  }
}

/** Tells whether a filesystem has said that it has no sockets or no hard links. */
export function isNotSupported(error: unknown): boolean {
  return ["EPERM", "ENOTSUP", "ENOSYS", "EINVAL"].includes(systemCode(error) ?? "");
}

/**
 * Removes what is left beside the lock at `path` of processes that were killed while they took it.
 * For its owner; those who are taking it now stay as they are.
 */
export async function sweepDeadLocks(path: string): Promise<void> {
  const name = basename(path);
  for (const other of await readdir(dirname(path))) {
    const beside = join(dirname(path), other);
    const suffix = other.startsWith(name) ? other.slice(name.length) : "";
    // Taking it for a moment removes it where its holder died.
    if (/^(?:\.break)+$/.test(suffix)) await withFileLock(beside, () => Promise.resolve());
    if (/^\.[0-9a-f]{8}$/.test(suffix) && (await probe(beside)) === "dead")
      await rm(beside, { force: true });
  }
}

async function trySocket(path: string): Promise<AsyncDisposable | undefined> {
  const own = `${path}.${randomBytes(4).toString("hex")}`;
  const server = await listenAt(own);
  try {
    if (!(await claim(own, path))) {
      await close(server);
      return undefined;
    }
  } catch (error) {
    await close(server);
    throw error;
  } finally {
    await rm(own, { force: true });
  }
  server.unref();
  return {
    [Symbol.asyncDispose]: async () => {
      await rm(path, { force: true });
      await close(server);
    },
  };
}

/** Gives our socket the lock's name, unless a live process has it. */
async function claim(own: string, path: string): Promise<boolean> {
  for (;;) {
    try {
      await link(own, path);
      return true;
    } catch (error) {
      // An owner swept it away in the moment between its making and its listening.
      if (systemCode(error) === "ENOENT") return false;
      if (systemCode(error) !== "EEXIST") throw error;
    }
    const owner = await probe(path);
    if (owner === "alive") return false;
    if (owner === "dead") await removeDead(path);
  }
}

/**
 * One process at a time judges again and removes: without that the slower of two could remove the
 * lock that the faster has just taken. A live owner removes its name before it stops to listen, so
 * a name whose socket refuses has nobody who could replace it.
 */
async function removeDead(path: string): Promise<void> {
  await withFileLock(`${path}.break`, async () => {
    if ((await probe(path)) === "dead") await unlink(path);
  });
}

async function probe(path: string): Promise<"alive" | "dead" | "absent"> {
  return withShortPath(path, async (short) => {
    const {
      promise,
      resolve: settle,
      reject,
    } = Promise.withResolvers<"alive" | "dead" | "absent">();
    const socket = connect(short);
    socket.once("connect", () => settle("alive"));
    socket.once("error", (error) => {
      const code = systemCode(error);
      if (code === "ENOENT") settle("absent");
      else if (code === "ECONNREFUSED" || code === "ENOTSOCK") settle("dead");
      // Its queue of connections is full.
      else if (code === "EAGAIN") settle("alive");
      else reject(error);
    });
    try {
      return await promise;
    } finally {
      socket.destroy();
    }
  });
}

async function listenAt(path: string): Promise<Server> {
  return withShortPath(path, async (short) => {
    const server = createServer((socket) => socket.destroy());
    const { promise, resolve: settle, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen(short, settle);
    await promise;
    return server;
  });
}

async function close(server: Server): Promise<void> {
  const { promise, resolve: settle } = Promise.withResolvers<void>();
  server.close(() => settle());
  await promise;
}
