import { randomUUID } from "node:crypto";
import type { DigestAlgorithm } from "../../core/digest.ts";
import { ModelError, systemCode } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import { onDisk } from "../../core/system-error.ts";
import type { BlobFolder } from "./blob-folder.ts";
import { type BlobIngest, createBlobIngest } from "./blob-ingest.ts";
import { createContentHash, hashFile } from "./content-hash.ts";
import type { IngestThreads } from "./ingest-threads.ts";
import type { UploadFolder } from "./upload-folder.ts";

/** What of a layout an ingest writes to. */
export interface IngestPlace {
  readonly name: string;
  readonly directory: string;
  readonly uploads: UploadFolder;
  readonly blobs: BlobFolder;
}

interface SessionOptions {
  readonly threads?: IngestThreads | undefined;
}

/** Starts the write of a blob that another process may go on with; its file is there at once. */
export async function startSession(
  { name, directory, uploads, blobs }: IngestPlace,
  {
    algorithm = "sha256",
    threads,
  }: SessionOptions & { readonly algorithm?: DigestAlgorithm | undefined } = {},
): Promise<{ readonly id: string; readonly ingest: BlobIngest }> {
  const id = randomUUID();
  const path = uploads.sessionPath(id);
  const create = async () => (await uploads.open(path)).close();
  await onDisk(`start of an upload to ${name}`, create, directory);
  const hash = createContentHash(algorithm);
  const start = { path, size: 0, hash, exists: true, threads };
  const ingest = createBlobIngest(name, uploads, blobs, start);
  return { id, ingest };
}

/**
 * Takes a session's file up again, of which all is read once. A process that was killed leaves the
 * first bytes of what it was sent, so what is there counts. Rejects with NOT_FOUND when it is gone.
 */
export async function resumeSession(
  { name, directory, uploads, blobs }: IngestPlace,
  id: string,
  { threads, ...options }: Abortable & SessionOptions = {},
): Promise<BlobIngest> {
  const path = uploads.sessionPath(id);
  const hash = createContentHash("sha256");
  const read = () => hashFile(path, hash, options);
  try {
    const size = await onDisk(`read of upload ${id} to ${name}`, read, directory);
    const start = { path, size, hash, exists: true, threads };
    return createBlobIngest(name, uploads, blobs, start);
  } catch (error) {
    if (!(error instanceof ModelError) || systemCode(error.cause) !== "ENOENT") throw error;
    throw new ModelError("NOT_FOUND", `${name} has no upload ${id}`, { cause: error });
  }
}
