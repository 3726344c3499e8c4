import { readdir, readFile } from "node:fs/promises";
import { undefinedIfMissing } from "../core/absence.ts";
import { writeFileDurably } from "../core/durable-file.ts";
import { isModelError, ModelError, systemCode } from "../core/errors.ts";
import { makeFolder } from "../core/make-folder.ts";
import { onDisk } from "../core/system-error.ts";
import { findNetworkFilesystem } from "./local-filesystem.ts";
import { acquireLock, isNotSupported, type LockOptions } from "./lock.ts";
import { withReserve } from "./reserve.ts";
import type { StorePaths } from "./store-paths.ts";

const formatVersion = "1";
/** What a folder may hold that is becoming a store, and what a new filesystem holds. */
const ownNames = /^(?:lock(?:\..+)?|VERSION\.tmp-.+|lost\+found)$/;

export interface OpenStoreOptions extends Omit<LockOptions, "kind"> {
  /** The output folder that this is the inside of: it may be on a network filesystem. */
  readonly outputFolder?: string | undefined;
  /** Open a store on a read-only filesystem too, to use what is there. */
  readonly orReadOnly?: boolean | undefined;
}

/**
 * Makes sure that a folder is a store, or may become one, and takes its lock; undefined where it
 * can only be read and that will do. Rejects as `openStore` does.
 */
export async function claimRoot(
  paths: StorePaths,
  options: OpenStoreOptions,
): Promise<AsyncDisposable | undefined> {
  const network = await findNetworkFilesystem(paths.root);
  if (network !== undefined && options.outputFolder === undefined)
    throw onNetwork(paths.root, network);
  await prepareRoot(paths);
  const lock = await lockRoot(paths, network !== undefined, options);
  try {
    await checkVersion(paths);
    return lock;
  } catch (error) {
    await lock?.[Symbol.asyncDispose]();
    throw error;
  }
}

async function lockRoot(
  paths: StorePaths,
  isShared: boolean,
  options: OpenStoreOptions,
): Promise<AsyncDisposable | undefined> {
  const { outputFolder, orReadOnly } = options;
  const kind = isShared ? "file" : outputFolder === undefined ? "socket" : "either";
  const lock = () => withReserve(paths, () => acquireLock(paths.lock, { ...options, kind }));
  try {
    const what = outputFolder ?? `the store ${paths.root}`;
    return await onDisk(`${what} cannot be opened`, lock, outputFolder ?? paths.root);
  } catch (error) {
    const cause = error instanceof ModelError ? error.cause : undefined;
    if (orReadOnly === true && systemCode(cause) === "EROFS" && (await readVersion(paths)))
      return undefined;
    if (outputFolder === undefined)
      throw isNotSupported(cause) ? withoutSockets(paths.root, cause) : error;
    throw isModelError(error, "STORE_LOCKED") ? folderInUse(outputFolder) : error;
  }
}

/** A folder that is neither empty nor a store is left alone: `--store ~` must not litter a home. */
async function prepareRoot(paths: StorePaths): Promise<void> {
  await makeFolder(paths.root);
  if ((await readVersion(paths)) !== undefined) return;
  const stranger = (await readdir(paths.root)).find((name) => !ownNames.test(name));
  // Another process may have made it a store in between.
  if (stranger === undefined || (await readVersion(paths)) !== undefined) return;
  throw new ModelError(
    "INVALID_ARGUMENT",
    `${paths.root} is not a Ballast store and not empty: it holds ${JSON.stringify(stranger)}`,
    { hint: "name an empty or new folder as the store" },
  );
}

async function checkVersion(paths: StorePaths): Promise<void> {
  const version = await readVersion(paths);
  if (version === undefined) return writeFileDurably(paths.version, `${formatVersion}\n`);
  if (version !== formatVersion)
    throw new ModelError("STORE_VERSION", `the store ${paths.root} has format ${version}`, {
      hint: `this Ballast reads format ${formatVersion}: upgrade it, or use another --store`,
    });
  return undefined;
}

async function readVersion(paths: StorePaths): Promise<string | undefined> {
  return (await readFile(paths.version, "utf8").catch(undefinedIfMissing))?.trim();
}

const otherPlace =
  "name a folder on a local disk with --store or BALLAST_STORE, or pull into a folder there with -o";

/** Locks, hard links and what is on disk after a crash are not the same there. */
function onNetwork(root: string, filesystem: string): ModelError {
  return new ModelError(
    "STORE_IO",
    `the store ${root} would be on a network filesystem (${filesystem}), which cannot hold one`,
    { hint: otherPlace },
  );
}

function folderInUse(folder: string): ModelError {
  return new ModelError("STORE_LOCKED", `${folder} is in use by another process`, {
    hint: "wait for it to finish, or choose another folder",
  });
}

function withoutSockets(root: string, cause: unknown): ModelError {
  return new ModelError(
    "STORE_IO",
    `the store ${root} would be on a filesystem that cannot hold one: it makes no sockets (${systemCode(cause)})`,
    { hint: otherPlace, cause },
  );
}
