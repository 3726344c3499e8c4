import { mkdir, readFile } from "node:fs/promises";
import { undefinedIfMissing } from "../core/absence.ts";
import { bootId } from "../core/boot-id.ts";
import { type Digest, digestOf } from "../core/digest.ts";
import { writeFileDurably } from "../core/durable-file.ts";
import { createMutex, type Mutex } from "../core/mutex.ts";
import type { Abortable } from "../core/progress.ts";
import { claimFiles, type FileClaim, type FileClaims } from "./file-claims.ts";
import {
  type LeaseRecord,
  readLeaseRecords,
  removeLeaseRecord,
  writeLeaseRecord,
} from "./lease-record.ts";
import { createLedger, type Ledger } from "./ledger.ts";
import type { StoredRecord } from "./model-record.ts";
import { recover } from "./recovery.ts";
import { keepReserve, withReserve } from "./reserve.ts";
import { type Origin, originKey, type StorePaths, storePaths } from "./store-paths.ts";
import { claimRoot, type OpenStoreOptions } from "./store-root.ts";

/** The content of one node, held open: one root has one owner. */
export interface Store extends AsyncDisposable {
  readonly paths: StorePaths;
  /** It stands on a read-only filesystem: what is there can be used, nothing be written or locked. */
  readonly isReadOnly: boolean;
  readonly ledger: Ledger;
  readonly bootId: string | undefined;
  /** Bytes of a stored manifest or index, checked against its digest; undefined when absent or rotten. */
  readBlob(digest: Digest): Promise<Buffer | undefined>;
  /** Stores a manifest or index. Idempotent. Kept by a record only: hold `changes` until there is one. */
  writeBlob(bytes: Uint8Array): Promise<Digest>;
  /**
   * Claims the writing of files for one origin. Who claims first owns them until the claim is
   * disposed; others wait for that moment and look again: one download however many ask.
   */
  claim(origin: Origin, fileIds: readonly string[]): FileClaim;
  /**
   * Keeps a model from being evicted or removed until disposed; begins when nobody is choosing what
   * to remove. Look for the model after that: what is there then stays.
   */
  lease(origin: Origin, manifest: Digest, options?: Abortable): Promise<Disposable>;
  /**
   * Keeps a model as `lease` does, beyond the end of this process, until `endLease`. Written when it
   * resolves, also on a full disk. One of the same id is replaced.
   */
  keepLease(lease: LeaseRecord, options?: Abortable): Promise<void>;
  /** Ends a kept lease. Idempotent. */
  endLease(id: string): Promise<void>;
  /** Leases that are kept, those of earlier processes too. */
  readonly keptLeases: () => readonly LeaseRecord[];
  readonly isLeased: (record: Pick<StoredRecord, "origin" | "manifest">) => boolean;
  /**
   * Held while a lease begins, a record changes, or models are chosen and taken out of sight. For
   * short work: every mount and pull waits for it.
   */
  readonly changes: Mutex;
  /** Held by one removal or collection from its choice until the space is free; before `changes`. */
  readonly collections: Mutex;
}

/**
 * Opens a store, making it where there is none, and heals what a crash left. Rejects with
 * STORE_LOCKED, STORE_VERSION (a newer Ballast wrote it), INVALID_ARGUMENT (the folder holds
 * something else), STORE_IO (it cannot be written, or no store can stand there).
 */
export async function openStore(root: string, options: OpenStoreOptions = {}): Promise<Store> {
  const paths = storePaths(root);
  const lock = await claimRoot(paths, options);
  const ledger = createLedger(paths.root, options);
  if (lock === undefined)
    return createStore(paths, { ledger, kept: await readLeaseRecords(paths) });
  try {
    const { files, blobs, ingest, trees, grants, trash } = paths;
    for (const folder of [files, blobs, ingest, trees, grants, trash])
      await mkdir(folder, { recursive: true });
    await recover(paths);
    await keepReserve(paths);
    return createStore(paths, { ledger, lock, kept: await readLeaseRecords(paths) });
  } catch (error) {
    await lock[Symbol.asyncDispose]();
    throw error;
  }
}

function createStore(
  paths: StorePaths,
  opened: { ledger: Ledger; lock?: AsyncDisposable; kept: readonly LeaseRecord[] },
): Store {
  const { ledger, lock } = opened;
  const claims = new Map<string, FileClaims>();
  const leases = new Set<{ readonly key: string }>();
  const kept = new Map(opened.kept.map((lease) => [lease.id, lease]));
  const changes = createMutex();
  const leaseKey = (origin: Origin, manifest: Digest) => `${originKey(origin)} ${manifest}`;
  return {
    paths,
    isReadOnly: lock === undefined,
    ledger,
    bootId: bootId(),
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
    lease: async (origin, manifest, options) => {
      const lease = { key: leaseKey(origin, manifest) };
      await changes.hold(async () => void leases.add(lease), options);
      return { [Symbol.dispose]: () => void leases.delete(lease) };
    },
    keepLease: (lease, options) =>
      changes.hold(async () => {
        await withReserve(paths, () => writeLeaseRecord(paths, lease));
        kept.set(lease.id, lease);
      }, options),
    endLease: (id) =>
      changes.hold(async () => {
        if (kept.has(id)) await removeLeaseRecord(paths, id);
        kept.delete(id);
      }),
    keptLeases: () => [...kept.values()],
    isLeased: ({ origin, manifest }) => {
      const wanted = leaseKey(origin, manifest);
      return (
        leases.values().some(({ key }) => key === wanted) ||
        kept.values().some((lease) => leaseKey(lease.origin, lease.manifest) === wanted)
      );
    },
    changes,
    collections: createMutex(),
    [Symbol.asyncDispose]: async () => lock?.[Symbol.asyncDispose](),
  };
}

async function readBlob(paths: StorePaths, digest: Digest): Promise<Buffer | undefined> {
  const bytes = await readFile(paths.blob(digest)).catch(undefinedIfMissing);
  return bytes !== undefined && digestOf(bytes) === digest ? bytes : undefined;
}
