import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { ModelError, systemCode } from "../core/errors.ts";
import { quotePath } from "../core/model-path.ts";
import { sameStamp, toStamp } from "../source/file-stamp.ts";
import type { SourceFile } from "../source/source.ts";
import { unreadable } from "../source/source-errors.ts";

/** An open file of a source that must stay what it was when the source was listed. */
export interface CheckedFile extends Disposable {
  /**
   * Fills `into` with the bytes at `offset`. Throws SOURCE_CHANGED when the file ends before,
   * SOURCE_UNREADABLE when the disk fails.
   */
  readInto(into: Uint8Array, offset: number): void;
  /** Throws SOURCE_CHANGED when the file is not what it was; to be called after reading. */
  check(): void;
}

/**
 * Opens `file` on the calling thread, which blocks while it reads. Throws SOURCE_CHANGED when it is
 * gone or not what it was when listed, SOURCE_UNREADABLE when it cannot be opened.
 */
export function openCheckedFile(file: SourceFile): CheckedFile {
  const descriptor = openDescriptor(file);
  const opened: CheckedFile = {
    readInto: (into, offset) => readExactly(file, descriptor, into, offset),
    check() {
      if (!sameStamp(toStamp(fstatSync(descriptor, { bigint: true })), file.stamp))
        throw changed(file, "is not what it was when packing began");
    },
    [Symbol.dispose]: () => closeSync(descriptor),
  };
  try {
    opened.check();
    return opened;
  } catch (error) {
    opened[Symbol.dispose]();
    throw error;
  }
}

/** The error for a file of the source that is not what it was. */
export function changed(file: { readonly path: string }, why: string): ModelError {
  return new ModelError("SOURCE_CHANGED", `source file ${quotePath(file.path)} ${why}`, {
    hint: "let the program that writes it finish, then start again",
  });
}

function openDescriptor(file: SourceFile): number {
  try {
    // Without O_NONBLOCK a fifo that took the file's place would block the thread for ever.
    return openSync(file.location, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (systemCode(error) === "ENOENT") throw changed(file, "is gone");
    throw unreadable(file.path, error);
  }
}

function readExactly(file: SourceFile, fd: number, into: Uint8Array, offset: number): void {
  let filled = 0;
  while (filled < into.byteLength) {
    const read = readSome(file, fd, into.subarray(filled), offset + filled);
    if (read === 0) throw changed(file, `ends after ${offset + filled} of ${file.size} bytes`);
    filled += read;
  }
}

function readSome(file: SourceFile, fd: number, into: Uint8Array, offset: number): number {
  try {
    return readSync(fd, into, 0, into.byteLength, offset);
  } catch (error) {
    throw unreadable(file.path, error);
  }
}
