import { open } from "node:fs/promises";
import { isRecord } from "../../core/chunk-index.ts";
import { isModelError } from "../../core/errors.ts";
import { parseJson } from "../../core/json.ts";
import { quotePath } from "../../core/model-path.ts";
import { type ReadAt, readAtOf } from "../../core/tensor-header.ts";
import type { SourceFile } from "../../source/source.ts";
import { unreadable } from "../../source/source-errors.ts";

/** Lends `use` a reader of the file. Rejects with SOURCE_UNREADABLE when it cannot be read any more. */
export async function withFile<T>(
  file: SourceFile,
  use: (readAt: ReadAt) => Promise<T>,
): Promise<T> {
  try {
    await using handle = await open(file.location);
    return await use(readAtOf(handle));
  } catch (error) {
    throw unreadable(file.path, error);
  }
}

/** The first `maxBytes` of a text file. */
export function readStart(file: SourceFile, maxBytes: number): Promise<string> {
  return withFile(file, async (readAt) => {
    const bytes = await readAt(0, Math.min(file.size, maxBytes));
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  });
}

/** The JSON object in a file, or a sentence about why there is none. */
export async function readObject(
  file: SourceFile,
  maxBytes: number,
): Promise<Record<string, unknown> | string> {
  const what = quotePath(file.path);
  if (file.size > maxBytes) return `${what} is larger than ${maxBytes} bytes and is not read`;
  const bytes = await withFile(file, (readAt) => readAt(0, file.size));
  try {
    const root = parseJson(bytes, { maxBytes, what, code: "SOURCE_UNSUPPORTED" });
    return isRecord(root) ? root : `${what} is not a JSON object`;
  } catch (error) {
    if (isModelError(error)) return error.message;
    throw error;
  }
}
