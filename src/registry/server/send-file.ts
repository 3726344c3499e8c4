import type { FileHandle } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { ModelError } from "../../core/errors.ts";
import type { SatisfiedRange } from "./range.ts";

const pieceBytes = 1_048_576;
/** Buffers kept for the next response; more are made when more are wanted, and dropped after. */
const keptBuffers = 32;
const pool: Buffer[] = [];

/**
 * Writes a slice of a file to a response whose head is set, and does not end it. Reads the next
 * piece while the last is being sent, at most two of 1 MiB in memory. Resolves early when the
 * client goes away. Rejects with STORE_IO when the file ends before the slice does.
 */
export async function sendFile(
  response: ServerResponse,
  file: FileHandle,
  slice: SatisfiedRange,
): Promise<void> {
  const buffers: [Buffer, Buffer] = [takeBuffer(slice.length), takeBuffer(slice.length)];
  let sending: Promise<boolean> = Promise.resolve(true);
  let turn: 0 | 1 = 0;
  for (let done = 0; done < slice.length; ) {
    const buffer = buffers[turn];
    const wanted = Math.min(buffer.byteLength, slice.length - done);
    const { bytesRead } = await file.read(buffer, 0, wanted, slice.offset + done);
    // A client that is gone may leave a write pending on its buffer: such buffers are not kept.
    if (!(await sending)) return;
    if (bytesRead === 0) throw new ModelError("STORE_IO", "a blob's file ends too early");
    sending = send(response, buffer.subarray(0, bytesRead));
    done += bytesRead;
    turn = turn === 0 ? 1 : 0;
  }
  if (await sending) for (const buffer of buffers) keepBuffer(buffer);
}

/** Resolves to true when the bytes have left the buffer, false when the client is gone. */
function send(response: ServerResponse, bytes: Buffer): Promise<boolean> {
  if (response.destroyed) return Promise.resolve(false);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const gone = () => resolve(false);
  response.once("close", gone);
  response.write(bytes, (error) => {
    response.off("close", gone);
    resolve(error === null || error === undefined);
  });
  return promise;
}

function takeBuffer(wanted: number): Buffer {
  if (wanted < pieceBytes) return Buffer.allocUnsafe(wanted);
  return pool.pop() ?? Buffer.allocUnsafeSlow(pieceBytes);
}

function keepBuffer(buffer: Buffer): void {
  if (buffer.byteLength === pieceBytes && pool.length < keptBuffers) pool.push(buffer);
}
