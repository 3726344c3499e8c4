import { randomUUID } from "node:crypto";
import type { BlobIngest } from "../../oci/layout/blob-ingest.ts";
import type { OciLayout } from "../../oci/layout/layout.ts";
import { ProtocolError } from "./errors.ts";

const idPattern = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** One upload between its POST and its last PUT. */
export interface UploadSession {
  readonly id: string;
  readonly repository: string;
  readonly ingest: BlobIngest;
}

interface Slot {
  readonly session: UploadSession;
  busy: boolean;
  usedAt: number;
}

/** The uploads under way. They live as long as the process; each is used by one request at a time. */
export class UploadSessions implements AsyncDisposable {
  readonly #slots = new Map<string, Slot>();
  readonly #maxUploads: number;
  readonly #timer: NodeJS.Timeout;

  /** `maxUploads` at a time; one that rests for `idleMs` is ended. */
  constructor(maxUploads: number, idleMs: number) {
    this.#maxUploads = maxUploads;
    const endIdle = () => void this.#endIdle(idleMs).catch(() => undefined);
    this.#timer = setInterval(endIdle, Math.max(idleMs / 4, 100)).unref();
  }

  /** Answers 429 TOOMANYREQUESTS when too many are open. */
  start(repository: string, layout: OciLayout): UploadSession {
    if (this.#slots.size >= this.#maxUploads)
      throw new ProtocolError(
        429,
        { code: "TOOMANYREQUESTS", message: `${this.#maxUploads} uploads are open already` },
        { "Retry-After": "10" },
      );
    const session = { id: randomUUID(), repository, ingest: layout.startIngest() };
    this.#slots.set(session.id, { session, busy: false, usedAt: performance.now() });
    return session;
  }

  /** Answers 404 BLOB_UPLOAD_UNKNOWN unless that repository has it. */
  find(repository: string, id: string): UploadSession {
    const session = idPattern.test(id) ? this.#slots.get(id)?.session : undefined;
    if (session !== undefined && session.repository === repository) return session;
    throw new ProtocolError(404, { code: "BLOB_UPLOAD_UNKNOWN", message: "no such upload" });
  }

  /** Runs `work` as the session's only user; answers 409 when it has one. */
  async use<T>(session: UploadSession, work: () => Promise<T>): Promise<T> {
    const slot = this.#slots.get(session.id);
    if (slot === undefined || slot.busy)
      throw new ProtocolError(409, {
        code: "BLOB_UPLOAD_INVALID",
        message: "another request uses this upload",
      });
    slot.busy = true;
    try {
      return await work();
    } finally {
      slot.busy = false;
      slot.usedAt = performance.now();
    }
  }

  /** Ends it and removes what was written, unless that was committed. Idempotent. */
  async end(session: UploadSession): Promise<void> {
    this.#slots.delete(session.id);
    await session.ingest[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    for (const { session } of this.#slots.values()) await this.end(session);
  }

  /** A file that cannot be removed now is removed by the sweep of the next start. */
  async #endIdle(idleMs: number): Promise<void> {
    const oldest = performance.now() - idleMs;
    for (const { session, busy, usedAt } of this.#slots.values())
      if (!busy && usedAt < oldest) await this.end(session);
  }
}
