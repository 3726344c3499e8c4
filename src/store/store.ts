import { mkdir, readdir, readFile } from "node:fs/promises";
import { undefinedIfMissing } from "../core/absence.ts";
import { bootId } from "../core/boot-id.ts";
import { type Digest, digestOf } from "../core/digest.ts";
import { writeFileDurably } from "../core/durable-file.ts";
import { ModelError } from "../core/errors.ts";
import { claimFiles, type FileClaim, type FileClaims } from "./file-claims.ts";
import { sweepIngests } from "./ingest.ts";
import { createLedger, type Ledger } from "./ledger.ts";
import { acquireLock, type LockOptions } from "./lock.ts";
import type { StoredRecord } from "./model-record.ts";
import { keepReserve } from "./reserve.ts";
import { type Origin, originKey, type StorePaths, storePaths } from "./store-paths.ts";
import { emptyTrash } from "./trash.ts";

const formatVersion = "1";
/** What a folder may hold that is becoming a store, and what a new filesystem holds. */
const ownNames = /^(?:lock(?:\..+)?|VERSION\.tmp-.+|lost\+found)$/;

/** The content of one node, held open: one root has one owner. */
export interface Store extends AsyncDisposable {
  readonly paths: StorePaths;
  readonly ledger: Ledger;
  readonly bootId: string | undefined;
  /** Bytes of a stored manifest or index, checked against its digest; undefined when absent or rotten. */
  readBlob(digest: Digest): Promise<Buffer | undefined>;
  /** Stores a manifest or index. Idempotent. */
  writeBlob(bytes: Uint8Array): Promise<Digest>;
  /**
   * Claims the writing of files for one origin. Who claims first owns them until the claim is
   * disposed; others wait for that moment and look again: one download however many ask.
   */
  claim(origin: Origin, fileIds: readonly string[]): FileClaim;
  /** Keeps a model from being evicted or removed until disposed. */
  lease(origin: Origin, manifest: Digest): Disposable;
  readonly isLeased: (record: Pick<StoredRecord, "origin" | "manifest">) => boolean;
}

/**
 * Opens a store, making it where there is none, and heals what a crash left. Rejects with
 * STORE_LOCKED, STORE_VERSION (a newer Ballast wrote it), INVALID_ARGUMENT (the folder holds
 * something else).
 */
export async function openStore(root: string, options: LockOptions = {}): Promise<Store> {
  const paths = storePaths(root);
  await prepareRoot(paths);
  const lock = await acquireLock(paths.lock, options);
  try {
    await checkVersion(paths);
    const { files, blobs, ingest, trees, grants, trash } = paths;
    for (const folder of [files, blobs, ingest, trees, grants, trash])
      await mkdir(folder, { recursive: true });
    await emptyTrash(paths);
    await sweepIngests(paths);
    await keepReserve(paths);
    return createStore(paths, lock, bootId());
  } catch (error) {
    await lock[Symbol.asyncDispose]();
    throw error;
  }
}

function createStore(paths: StorePaths, lock: AsyncDisposable, boot: string | undefined): Store {
  const claims = new Map<string, FileClaims>();
  const leases = new Set<{ readonly key: string }>();
  const leaseKey = (origin: Origin, manifest: Digest) => `${originKey(origin)} ${manifest}`;
  return {
    paths,
    ledger: createLedger(paths.root),
    bootId: boot,
    readBlob: (digest) => readBlob(paths, digest),
    writeBlob: async (bytes) => {
      const digest = digestOf(bytes);
      if ((await readBlob(paths, digest)) === undefined)
        await writeFileDurably(paths.blob(digest), bytes);
      return digest;
    },
    claim: (origin, fileIds) => {
      const key = originKey(origin);
      const ofOrigin = claims.get(key) ?? new Map<string, Promise<void>>();
      claims.set(key, ofOrigin);
      return claimFiles(ofOrigin, fileIds);
    },
    lease: (origin, manifest) => {
      const lease = { key: leaseKey(origin, manifest) };
      leases.add(lease);
      return { [Symbol.dispose]: () => void leases.delete(lease) };
    },
    isLeased: ({ origin, manifest }) => {
      const wanted = leaseKey(origin, manifest);
      return leases.values().some(({ key }) => key === wanted);
    },
    [Symbol.asyncDispose]: () => lock[Symbol.asyncDispose](),
  };
}

/** A folder that is neither empty nor a store is left alone: `--store ~` must not litter a home. */
async function prepareRoot(paths: StorePaths): Promise<void> {
  await mkdir(paths.root, { recursive: true });
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

async function readBlob(paths: StorePaths, digest: Digest): Promise<Buffer | undefined> {
  const bytes = await readFile(paths.blob(digest)).catch(undefinedIfMissing);
  return bytes !== undefined && digestOf(bytes) === digest ? bytes : undefined;
}
