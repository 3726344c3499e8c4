import { rm } from "node:fs/promises";
import type { DigestAlgorithm } from "../../core/digest.ts";
import { isModelError } from "../../core/errors.ts";
import { createMutex } from "../../core/mutex.ts";
import { type BlobIngest, createBlobIngest, freshStart } from "../../oci/layout/blob-ingest.ts";
import type { IngestThreads } from "../../oci/layout/ingest-threads.ts";
import type { OciLayout } from "../../oci/layout/layout.ts";
import { resumeSession, startSession } from "../../oci/layout/session-ingest.ts";
import { isSessionId } from "../../oci/layout/upload-folder.ts";
import { ProtocolError } from "./errors.ts";
import type { Repositories } from "./repositories.ts";

/** One upload between its POST and its last PUT. */
export interface UploadSession {
  readonly id: string;
  readonly repository: string;
  /** Bytes that are there. */
  readonly size: number;
}

/** A session, and who uses it when. */
class Slot implements UploadSession {
  readonly id: string;
  readonly repository: string;
  readonly #sizeBefore: number;
  /** Undefined until somebody goes on with what a process before this one has left. */
  ingest: BlobIngest | undefined;
  opening: Promise<BlobIngest> | undefined;
  busy = false;
  usedAt: number = performance.now();

  constructor(id: string, repository: string, start: { size: number } | BlobIngest) {
    this.id = id;
    this.repository = repository;
    this.#sizeBefore = start.size;
    if ("append" in start) this.ingest = start;
  }

  get size(): number {
    return this.ingest?.size ?? this.#sizeBefore;
  }
}

/** How long an upload must have rested to make room for another where all that may be are open. */
const spareMs = 600_000;

export interface UploadSessionsOptions {
  /** Open at a time. */
  readonly maxUploads: number;
  /** How long one may rest. */
  readonly idleMs: number;
  /** Where long blobs are hashed and written; they outlive this. */
  readonly threads: IngestThreads;
}

/**
 * The uploads under way. Their bytes are files of the repositories, so they outlive the process;
 * each is used by one request at a time.
 */
export class UploadSessions implements AsyncDisposable {
  readonly #repositories: Repositories;
  readonly #options: UploadSessionsOptions;
  readonly #slots = new Map<string, Slot>();
  readonly #timer: NodeJS.Timeout;
  /** One at a time: hundreds of clients come back at once after a restart. */
  readonly #resuming = createMutex();
  readonly #closed = new AbortController();
  #whole = 0;

  /** Takes up the sessions that `repositories` found. */
  constructor(repositories: Repositories, options: UploadSessionsOptions) {
    this.#repositories = repositories;
    this.#options = options;
    for (const { repository, id, size, writtenAt } of repositories.leftSessions) {
      const slot = new Slot(id, repository, { size });
      slot.usedAt -= Math.max(0, Date.now() - writtenAt.getTime());
      this.#slots.set(id, slot);
    }
    const endIdle = () => void this.#endIdle().catch(() => undefined);
    this.#timer = setInterval(endIdle, Math.min(Math.max(options.idleMs / 4, 100), 60_000)).unref();
  }

  /**
   * Answers 429 TOOMANYREQUESTS when too many are open. Those that were given up without a word do
   * not count: the one that has rested longest makes room.
   */
  async start(
    repository: string,
    layout: OciLayout,
    algorithm: DigestAlgorithm | undefined,
  ): Promise<UploadSession> {
    await this.#makeRoom();
    const { threads } = this.#options;
    const { id, ingest } = await startSession(layout, { algorithm, threads });
    const slot = new Slot(id, repository, ingest);
    this.#slots.set(id, slot);
    return slot;
  }

  /** Runs `work` on an ingest that one request begins and ends; answers 429 like `start`. */
  async takeWhole<T>(
    layout: OciLayout,
    algorithm: DigestAlgorithm,
    work: (ingest: BlobIngest) => Promise<T>,
  ): Promise<T> {
    await this.#makeRoom();
    this.#whole += 1;
    const { name, uploads, blobs } = layout;
    const start = { ...freshStart(uploads, algorithm), threads: this.#options.threads };
    try {
      await using ingest = createBlobIngest(name, uploads, blobs, start);
      return await work(ingest);
    } finally {
      this.#whole -= 1;
    }
  }

  /** Answers 404 BLOB_UPLOAD_UNKNOWN unless that repository has it. */
  find(repository: string, id: string): UploadSession {
    const slot = isSessionId(id) ? this.#slots.get(id) : undefined;
    if (slot === undefined || slot.repository !== repository) throw uploadUnknown();
    slot.usedAt = performance.now();
    return slot;
  }

  /** Begins to read what is there of a session of an earlier process, for whoever goes on with it. */
  prepare({ id }: UploadSession): void {
    const slot = this.#slots.get(id);
    if (slot?.busy === false) this.#open(slot).catch(() => undefined);
  }

  /** Runs `work` as the session's only user; answers 409 when it has one. */
  async use<T>(session: UploadSession, work: (ingest: BlobIngest) => Promise<T>): Promise<T> {
    return this.#alone(session, async (slot) => work(await this.#open(slot)));
  }

  /** Gives the session up; answers 409 when it is in use. */
  async cancel(session: UploadSession): Promise<void> {
    await this.#alone(session, (slot) => this.#remove(slot));
  }

  /** For its user: ends it and removes what was written, unless that was committed. Idempotent. */
  async end({ id }: UploadSession): Promise<void> {
    const slot = this.#slots.get(id);
    if (slot !== undefined) await this.#remove(slot);
  }

  /** Ends the reading of what earlier processes left: whoever waits for it is refused. */
  stopReading(): void {
    this.#closed.abort();
  }

  /** Lets go of the sessions; their files stay. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    this.stopReading();
    for (const { opening } of this.#slots.values()) await opening?.catch(() => undefined);
  }

  async #alone<T>({ id }: UploadSession, work: (slot: Slot) => Promise<T>): Promise<T> {
    const slot = this.#slots.get(id);
    if (slot === undefined) throw uploadUnknown();
    if (slot.busy)
      throw new ProtocolError(409, {
        code: "BLOB_UPLOAD_INVALID",
        message: "another request uses this upload",
      });
    slot.busy = true;
    try {
      return await work(slot);
    } catch (error) {
      // An `oci:` push may have swept a file that rested for a day.
      if (!isModelError(error, "NOT_FOUND")) throw error;
      this.#slots.delete(id);
      throw uploadUnknown();
    } finally {
      slot.busy = false;
      slot.usedAt = performance.now();
    }
  }

  async #open(slot: Slot): Promise<BlobIngest> {
    if (slot.ingest !== undefined) return slot.ingest;
    slot.opening ??= this.#resume(slot).finally(() => {
      slot.opening = undefined;
    });
    slot.ingest = await slot.opening;
    return slot.ingest;
  }

  async #resume({ id, repository }: Slot): Promise<BlobIngest> {
    const layout = await this.#repositories.find(repository);
    if (layout === undefined) throw uploadUnknown();
    const { signal } = this.#closed;
    const { threads } = this.#options;
    return this.#resuming.hold(() => resumeSession(layout, id, { signal, threads }), { signal });
  }

  async #makeRoom(): Promise<void> {
    const { maxUploads } = this.#options;
    const isFull = () => this.#slots.size + this.#whole >= maxUploads;
    if (!isFull()) return;
    const before = performance.now() - spareMs;
    const spare = [...this.#slots.values()].filter((slot) => !slot.busy && slot.usedAt < before);
    const [oldest] = spare.toSorted((a, b) => a.usedAt - b.usedAt);
    if (oldest !== undefined) await this.#remove(oldest);
    if (isFull())
      throw new ProtocolError(
        429,
        { code: "TOOMANYREQUESTS", message: `${maxUploads} uploads are open already` },
        { "Retry-After": "10" },
      );
  }

  async #endIdle(): Promise<void> {
    const oldest = performance.now() - this.#options.idleMs;
    for (const slot of this.#slots.values())
      if (!slot.busy && slot.usedAt < oldest) await this.#remove(slot);
  }

  /** A file that cannot be removed now is removed by a sweep, a day later. */
  async #remove(slot: Slot): Promise<void> {
    this.#slots.delete(slot.id);
    if (slot.ingest !== undefined) return slot.ingest[Symbol.asyncDispose]();
    const layout = await this.#repositories.find(slot.repository);
    if (layout !== undefined) await rm(layout.uploads.sessionPath(slot.id), { force: true });
  }
}

function uploadUnknown(): ProtocolError {
  return new ProtocolError(404, { code: "BLOB_UPLOAD_UNKNOWN", message: "no such upload" });
}
