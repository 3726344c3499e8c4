import type { IncomingMessage } from "node:http";
import type { Batch } from "../../oci/layout/blob-ingest.ts";

/** A batch is given when it has this many bytes, */
const batchBytes = 1_048_576;
/** or when this is how old it is. */
const batchMs = 3;
/** More pieces than this are joined: what is done for each costs more than a copy. */
const maxPieces = 32;

/**
 * Listens to the body of a request, which costs a fraction of iterating over it. What is not taken
 * makes the client wait. Disposing leaves the rest of the body to others.
 */
export class BodyGathering implements Disposable {
  readonly #request: IncomingMessage;
  readonly #timer: NodeJS.Timeout;
  #pieces: Uint8Array<ArrayBuffer>[] = [];
  #bytes = 0;
  #isDue = false;
  #end: { readonly error: Error | undefined } | undefined;
  #wake: (() => void) | undefined;

  constructor(request: IncomingMessage) {
    this.#request = request;
    this.#timer = setTimeout(this.#onDue, batchMs);
    if (request.readableEnded) this.#end = { error: undefined };
    else if (request.destroyed) this.#end = { error: request.errored ?? brokenOff() };
    request.on("data", this.#onData).on("end", this.#onEnd);
    request.on("error", this.#onError).on("close", this.#onClose);
  }

  /** Waits for the next; undefined at the end. Throws what the connection failed with. */
  async next(): Promise<Batch | undefined> {
    if (!this.#isReady()) await this.#arrival();
    const pieces = this.#pieces;
    if (pieces.length > 0) {
      this.#pieces = [];
      this.#bytes = 0;
      this.#isDue = false;
      if (this.#end === undefined && this.#request.isPaused()) this.#request.resume();
      return pieces.length > maxPieces ? [joined(pieces)] : pieces;
    }
    if (this.#end?.error !== undefined) throw this.#end.error;
    return undefined;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    const request = this.#request;
    if (this.#end === undefined) request.pause();
    request.off("data", this.#onData).off("end", this.#onEnd);
    request.off("error", this.#onError).off("close", this.#onClose);
  }

  #isReady(): boolean {
    return this.#bytes >= batchBytes || this.#isDue || this.#end !== undefined;
  }

  #arrival(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    return promise;
  }

  #give(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  readonly #onDue = (): void => {
    if (this.#bytes === 0) return;
    this.#isDue = true;
    this.#give();
  };

  readonly #onData = (piece: Uint8Array<ArrayBuffer>): void => {
    if (this.#bytes === 0) this.#timer.refresh();
    this.#pieces.push(piece);
    this.#bytes += piece.byteLength;
    if (this.#bytes < batchBytes) return;
    if (this.#wake === undefined) this.#request.pause();
    else this.#give();
  };

  readonly #onEnd = (): void => this.#stop(undefined);
  readonly #onError = (error: Error): void => this.#stop(error);
  readonly #onClose = (): void => this.#stop(brokenOff());

  #stop(error: Error | undefined): void {
    this.#end ??= { error };
    this.#give();
  }
}

function joined(pieces: Batch): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
  let filled = 0;
  for (const piece of pieces) {
    bytes.set(piece, filled);
    filled += piece.byteLength;
  }
  return bytes;
}

function brokenOff(): Error {
  return new Error("the connection closed in the middle of the body");
}
