import { type FileHandle, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { type ContentDigest, type DigestAlgorithm, digestAlgorithm } from "../../core/digest.ts";
import { ModelError } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import { onDisk } from "../../core/system-error.ts";
import { unlessAborted } from "../../core/unless-aborted.ts";
import type { BlobFolder } from "./blob-folder.ts";
import { type ContentHash, createContentHash, hashFile } from "./content-hash.ts";
import type { IngestStream, IngestThreads } from "./ingest-threads.ts";
import type { UploadFolder } from "./upload-folder.ts";

/** Bytes of a blob, in pieces that are valid until the next is asked for. */
export type Pieces = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/** Pieces that are given away: their memory may be moved to another thread. */
export type Batch = readonly Uint8Array<ArrayBuffer>[];

/**
 * The write of one blob; its content stays invisible until `commit`, which also decides its name.
 * One call at a time. Dispose without commit removes what was written.
 */
export interface BlobIngest extends AsyncDisposable {
  /** Bytes written so far. */
  readonly size: number;
  /**
   * Writes and hashes piece by piece. When `pieces` throws, what came before stays written and the
   * next `append` goes on behind it; after NO_SPACE, STORE_IO or an abort it can only be disposed.
   */
  append(pieces: Pieces | AsyncIterable<Batch>, options?: Abortable): Promise<void>;
  /**
   * Makes the blob durable, then visible: sync, rename, sync of the folder. A digest of another
   * algorithm than the running one costs a second reading of the file.
   * Rejects with DIGEST_MISMATCH, and nothing is visible, when the bytes are not those of `blob`.
   */
  commit(blob: {
    readonly digest: ContentDigest;
    readonly size?: number | undefined;
  }): Promise<void>;
}

/** Where an ingest begins: a file, what it holds already, and the hash of that. */
export interface IngestStart {
  readonly path: string;
  readonly size: number;
  readonly hash: ContentHash;
  /** The file is there, and to be gone is a failure. */
  readonly exists: boolean;
  /** Where a long blob is hashed and written; without them on this thread. */
  readonly threads?: IngestThreads | undefined;
}

/** What is longer goes to a thread, which reads the beginning once more for its hash. */
const threadBytes = 1_048_576;

/** Starts the write of a blob of the layout called `name`; no file exists before the first byte. */
export function createBlobIngest(
  name: string,
  uploads: UploadFolder,
  blobs: BlobFolder,
  start: IngestStart = freshStart(uploads),
): BlobIngest {
  const { path, hash, exists, threads } = start;
  const layout = dirname(dirname(blobs.directory));
  /** Bytes that were written by this thread. */
  let own = start.size;
  let stream: IngestStream | undefined;
  let over = false;
  const sizeNow = () => own + (stream?.written ?? 0);
  const open = () => (exists ? uploads.reopen(path) : uploads.open(path));

  const write = <T>(work: () => Promise<T>) => onDisk(`write to ${name}`, work, layout);

  const takeHere = async (file: FileHandle, pieces: readonly Uint8Array[]) => {
    for (const piece of pieces) {
      const written = write(() => writeFully(file, piece));
      hash.update(piece);
      await written;
      own += piece.byteLength;
    }
  };

  const streamFor = (pieces: readonly Uint8Array[]) => {
    const after = pieces.reduce((sum, { byteLength }) => sum + byteLength, own);
    if (own <= threadBytes && after > threadBytes)
      stream ??= threads?.open({ path, size: own, algorithm: hash.algorithm });
    return stream;
  };

  const append: BlobIngest["append"] = async (pieces, options = {}) => {
    await using file = await write(open);
    try {
      for await (const piece of stoppable<Uint8Array | Batch>(pieces, options.signal)) {
        const isLent = piece instanceof Uint8Array;
        const batch = isLent ? [piece] : piece;
        const there = streamFor(batch);
        const given = () => (isLent ? [new Uint8Array(piece)] : piece);
        if (there === undefined) await takeHere(file, batch);
        else await write(() => there.write(file.fd, given()));
      }
    } finally {
      // The file stays open until no thread writes to it.
      await write(async () => stream?.flush());
    }
  };

  const commit: BlobIngest["commit"] = async (blob) => {
    const size = sizeNow();
    if (blob.size !== undefined && blob.size !== size)
      throw mismatch(name, blob.digest, `${size} bytes instead of ${blob.size}`);
    const actual = await onDisk(
      `read of what was written to ${name}`,
      () => digestBy(digestAlgorithm(blob.digest), { path, hash: stream ?? hash, size }),
      layout,
    );
    if (actual !== blob.digest) throw mismatch(name, blob.digest, `content with ${actual}`);
    const show = async () => {
      await syncFile(open);
      await blobs.admit(path, actual);
      over = true;
    };
    await onDisk(`commit of ${blob.digest} to ${name}`, show, layout);
  };

  const dispose = async () => {
    await stream?.forget();
    if (!over) await rm(path, { force: true });
    over = true;
  };

  return {
    get size() {
      return sizeNow();
    },
    append,
    commit,
    [Symbol.asyncDispose]: dispose,
  };
}

/** An ingest that dies with this process. */
export function freshStart(
  uploads: UploadFolder,
  algorithm: DigestAlgorithm = "sha256",
): IngestStart {
  return { path: uploads.newPath(), size: 0, hash: createContentHash(algorithm), exists: false };
}

async function digestBy(
  algorithm: DigestAlgorithm,
  {
    path,
    hash,
    size,
  }: {
    readonly path: string;
    readonly hash: ContentHash | IngestStream;
    readonly size: number;
  },
): Promise<ContentDigest> {
  if (algorithm === hash.algorithm) return hash.digest();
  const again = createContentHash(algorithm);
  if (size > 0) await hashFile(path, again);
  return again.digest();
}

async function syncFile(open: () => Promise<FileHandle>): Promise<void> {
  await using file = await open();
  // Bytes may have come days ago; the blob is young from here on (blob-age.ts).
  const now = new Date();
  await file.utimes(now, now);
  await file.sync();
}

async function writeFully(file: FileHandle, piece: Uint8Array): Promise<void> {
  for (let done = 0; done < piece.byteLength; ) {
    const { bytesWritten } = await file.write(piece, done, piece.byteLength - done);
    done += bytesWritten;
  }
}

/** The same pieces, but a wait for the next one ends when `signal` aborts. */
async function* stoppable<T>(
  pieces: AsyncIterable<T> | Iterable<T>,
  signal: AbortSignal | undefined,
): AsyncIterable<T> {
  if (signal === undefined) return yield* pieces;
  const iterator =
    Symbol.asyncIterator in pieces ? pieces[Symbol.asyncIterator]() : pieces[Symbol.iterator]();
  let finished = false;
  try {
    for (;;) {
      signal.throwIfAborted();
      const next = await unlessAborted(Promise.resolve(iterator.next()), signal);
      finished = next.done === true;
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // Not awaited: a generator answers return() only after the read it is stuck in.
    if (!finished) Promise.resolve(iterator.return?.()).catch(() => undefined);
  }
}

function mismatch(name: string, digest: ContentDigest, got: string): ModelError {
  return new ModelError("DIGEST_MISMATCH", `blob ${digest} for ${name}: got ${got}`);
}
