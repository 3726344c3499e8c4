import { randomBytes } from "node:crypto";
import { link, mkdtemp, rm, symlink, unlink } from "node:fs/promises";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ModelError, systemCode } from "../core/errors.ts";
import { withFileLock } from "../core/file-lock.ts";
import type { Abortable } from "../core/progress.ts";
import { unlessAborted } from "../core/unless-aborted.ts";

/** Between two looks at a lock that is held. */
const pauseMs = 200;

export interface LockOptions extends Abortable {
  /** Wait for the owner to finish instead of rejecting with STORE_LOCKED. */
  readonly wait?: boolean | undefined;
  /** Called once, when the wait begins. */
  readonly onWait?: (() => void) | undefined;
}

/**
 * Takes the lock of a store: a listening unix socket at `path`. One that answers is held; one that
 * refuses was left by a dead process and is taken over. Rejects with STORE_LOCKED.
 */
export async function acquireLock(
  path: string,
  options: LockOptions = {},
): Promise<AsyncDisposable> {
  let told = false;
  for (;;) {
    options.signal?.throwIfAborted();
    const lock = await tryLock(path);
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

async function tryLock(path: string): Promise<AsyncDisposable | undefined> {
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

/** Unix socket names hold about 100 bytes: a deep root is reached through a short symbolic link. */
async function withShortPath<T>(path: string, work: (short: string) => Promise<T>): Promise<T> {
  if (Buffer.byteLength(path) < 100) return work(path);
  const folder = await mkdtemp(join(tmpdir(), "blst-"));
  try {
    await symlink(resolve(dirname(path)), join(folder, "r"));
    return await work(join(folder, "r", basename(path)));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function close(server: Server): Promise<void> {
  const { promise, resolve: settle } = Promise.withResolvers<void>();
  server.close(() => settle());
  await promise;
}
