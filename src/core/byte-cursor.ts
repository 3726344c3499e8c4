import type { ReadAt } from "./tensor-header.ts";

const firstWindowBytes = 1_048_576;
const lastWindowBytes = 16_777_216;

/** Thrown by a ByteCursor, and by who walks with it, when the bytes are not what they claim to be. */
export class DamagedBytes extends Error {}

/**
 * Walks forward over little-endian values, holding one window of the bytes at a time. Each window
 * is as long as what was walked before it (1 to 16 MiB), so a short header costs one small read.
 * `load` first; taking more than was loaded throws a RangeError, for that is a mistake of ours.
 */
export class ByteCursor {
  readonly #readAt: ReadAt;
  readonly #end: number;
  #window: DataView = new DataView(new ArrayBuffer(0));
  #windowStart = 0;
  #position = 0;

  /** Walks the first `end` bytes. */
  constructor(readAt: ReadAt, end: number) {
    this.#readAt = readAt;
    this.#end = end;
  }

  get position(): number {
    return this.#position;
  }

  /** Tells whether the next `length` bytes are loaded. */
  holds(length: number): boolean {
    return this.#position + length <= this.#windowStart + this.#window.byteLength;
  }

  /** Makes the next `length` bytes ready to take; rejects with DamagedBytes when they are not there. */
  async load(length: number): Promise<void> {
    if (this.holds(length)) return;
    const rest = this.#end - this.#position;
    if (length > lastWindowBytes || length > rest) throw new DamagedBytes("ends inside its header");
    const window = Math.min(lastWindowBytes, Math.max(firstWindowBytes, this.#position));
    const bytes = await this.#readAt(this.#position, Math.min(rest, Math.max(length, window)));
    if (bytes.byteLength < length) throw new DamagedBytes("ends inside its header");
    this.#window = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#windowStart = this.#position;
  }

  /** Moves on without reading; throws DamagedBytes behind the end. */
  skip(length: number): void {
    if (length > this.#end - this.#position) throw new DamagedBytes("ends inside its header");
    this.#position += length;
  }

  /** Takes `length` bytes; the memory stays the window's. */
  take(length: number): DataView {
    const at = this.#window.byteOffset + this.#position - this.#windowStart;
    if (!this.holds(length)) throw new RangeError(`${length} bytes were not loaded`);
    this.#position += length;
    return new DataView(this.#window.buffer, at, length);
  }

  takeU32(): number {
    return this.take(4).getUint32(0, true);
  }

  /** Takes an unsigned 64-bit number; throws DamagedBytes above 2^53. */
  takeU64(): number {
    const value = Number(this.take(8).getBigUint64(0, true));
    if (!Number.isSafeInteger(value)) throw new DamagedBytes("has an absurd number in its header");
    return value;
  }

  takeText(length: number): string {
    const { buffer, byteOffset } = this.take(length);
    return Buffer.from(buffer, byteOffset, length).toString("utf8");
  }
}
