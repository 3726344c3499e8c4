import { closeSync, fchmodSync, openSync, unlinkSync, writeSync } from "node:fs";
import { createDigestHash, type Digest, type DigestHash } from "../core/digest.ts";
import { systemCode } from "../core/errors.ts";
import type { FileSlice } from "./range-reader.ts";

/**
 * Scatters one stream of bytes over file slices and hashes each slice on the way, on the same
 * memory. Synchronous: for worker threads. `end` and `abort` close what is open.
 */
export interface SliceWriter {
  /** The digests of the slices that these bytes completed. */
  write(bytes: Uint8Array): Digest[];
  /** The digest of each slice, in order. Throws unless every slice is full. */
  end(): Digest[];
  abort(): void;
}

/** Starts writing into `slices`. System errors of open and write pass through. */
export function createSliceWriter(slices: readonly FileSlice[]): SliceWriter {
  const digests: Digest[] = [];
  let current: { fd: number | undefined; hash: DigestHash; written: number } | undefined;

  function open({ path, create }: FileSlice): NonNullable<typeof current> {
    const openFile = create === true ? createFile : (there: string) => openSync(there, "r+");
    const fd = path === undefined ? undefined : openFile(path);
    return { fd, hash: createDigestHash(), written: 0 };
  }

  function close(): void {
    if (current?.fd !== undefined) closeSync(current.fd);
    current = undefined;
  }

  return {
    write: (bytes) => {
      let taken = 0;
      const before = digests.length;
      while (taken < bytes.byteLength) {
        const slice = slices[digests.length];
        if (slice === undefined) throw new Error("more bytes than the slices hold");
        current ??= open(slice);
        const part = bytes.subarray(taken, taken + slice.size - current.written);
        if (current.fd !== undefined) writeFully(current.fd, part, slice.offset + current.written);
        current.hash.update(part);
        current.written += part.byteLength;
        taken += part.byteLength;
        if (current.written < slice.size) continue;
        digests.push(current.hash.digest());
        close();
      }
      return digests.slice(before);
    },
    end: () => {
      close();
      if (digests.length !== slices.length) throw new Error("fewer bytes than the slices hold");
      return digests;
    },
    abort: close,
  };
}

/** Whatever is in the way goes: an earlier attempt left it read-only. */
function createFile(path: string): number {
  try {
    return openReadOnly(path);
  } catch (error) {
    if (systemCode(error) !== "EEXIST") throw error;
    unlinkSync(path);
    return openReadOnly(path);
  }
}

/** Read-only for everybody else; this descriptor writes. */
function openReadOnly(path: string): number {
  const fd = openSync(path, "wx", 0o444);
  fchmodSync(fd, 0o444);
  return fd;
}

function writeFully(fd: number, bytes: Uint8Array, position: number): void {
  let done = 0;
  while (done < bytes.byteLength)
    done += writeSync(fd, bytes, done, bytes.byteLength - done, position + done);
}
