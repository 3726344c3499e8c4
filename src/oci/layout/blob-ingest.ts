import { type FileHandle, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { createDigestHash, type Digest } from "../../core/digest.ts";
import { ModelError } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import { onDisk } from "../../core/system-error.ts";
import { unlessAborted } from "../../core/unless-aborted.ts";
import type { BlobFolder } from "./blob-folder.ts";
import type { UploadFolder } from "./upload-folder.ts";

/** Bytes of a blob, in pieces that are valid until the next is asked for. */
export type Pieces = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * The write of one blob; its content stays invisible until `commit`, which also decides its name.
 * One call at a time. After a rejected `append` it can only be disposed; dispose without commit
 * removes what was written.
 */
export interface BlobIngest extends AsyncDisposable {
  /** Bytes written so far. */
  readonly size: number;
  /** Writes and hashes piece by piece. Rejects with NO_SPACE, STORE_IO, or what `pieces` throws. */
  append(pieces: Pieces, options?: Abortable): Promise<void>;
  /**
   * Makes the blob durable, then visible: sync, rename, sync of the folder.
   * Rejects with DIGEST_MISMATCH, and nothing is visible, when the bytes are not those of `blob`.
   */
  commit(blob: { readonly digest: Digest; readonly size?: number | undefined }): Promise<void>;
}

/** Starts the write of a blob of the layout called `name`; no file exists before the first byte. */
export function createBlobIngest(
  name: string,
  uploads: UploadFolder,
  blobs: BlobFolder,
): BlobIngest {
  const path = uploads.newPath();
  const layout = dirname(dirname(blobs.directory));
  const hash = createDigestHash();
  let size = 0;
  let over = false;

  const append = async (pieces: Pieces, options: Abortable = {}) => {
    const write = <T>(work: () => Promise<T>) => onDisk(`write to ${name}`, work, layout);
    await using file = await write(() => uploads.open(path));
    for await (const piece of stoppable(pieces, options.signal)) {
      const written = write(() => writeFully(file, piece));
      hash.update(piece);
      await written;
      size += piece.byteLength;
    }
  };

  const commit: BlobIngest["commit"] = async (blob) => {
    if (blob.size !== undefined && blob.size !== size)
      throw mismatch(name, blob.digest, `${size} bytes instead of ${blob.size}`);
    const actual = hash.digest();
    if (actual !== blob.digest) throw mismatch(name, blob.digest, `content with ${actual}`);
    const show = async () => {
      await syncFile(uploads, path);
      await rename(path, blobs.path(actual));
      over = true;
      await blobs.sync();
    };
    await onDisk(`commit of ${blob.digest} to ${name}`, show, layout);
  };

  const dispose = async () => {
    if (!over) await rm(path, { force: true });
    over = true;
  };

  return {
    get size() {
      return size;
    },
    append,
    commit,
    [Symbol.asyncDispose]: dispose,
  };
}

async function syncFile(uploads: UploadFolder, path: string): Promise<void> {
  await using file = await uploads.open(path);
  await file.sync();
}

async function writeFully(file: FileHandle, piece: Uint8Array): Promise<void> {
  for (let done = 0; done < piece.byteLength; ) {
    const { bytesWritten } = await file.write(piece, done, piece.byteLength - done);
    done += bytesWritten;
  }
}

/** The same pieces, but a wait for the next one ends when `signal` aborts. */
async function* stoppable(
  pieces: Pieces,
  signal: AbortSignal | undefined,
): AsyncIterable<Uint8Array> {
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

function mismatch(name: string, digest: Digest, got: string): ModelError {
  return new ModelError("DIGEST_MISMATCH", `blob ${digest} for ${name}: got ${got}`);
}
