import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { undefinedIfMissing } from "../core/absence.ts";
import { type ChunkIndex, type IndexedFile, parseChunkIndex } from "../core/chunk-index.ts";
import { forEachConcurrently } from "../core/concurrently.ts";
import { type Digest, digestOf } from "../core/digest.ts";
import { ModelError } from "../core/errors.ts";
import type { RunOptions } from "../core/progress.ts";
import { storePaths } from "../store/store-paths.ts";
import { type DiskThreads, startDiskThreads } from "../transfer/disk-threads.ts";
import { findWrongRanges } from "./file-check.ts";
import { stateFolder } from "./output-folder.ts";
import { readPulledState } from "./pulled-state.ts";
import {
  announceVerify,
  claimProblem,
  needsWholeDigest,
  reportVerify,
  type VerifyProblem,
  type VerifyResult,
} from "./verify-report.ts";

/** Files read at once. */
const filesAtOnce = 2;

/**
 * Reads every file that the last complete pull put into `directory`. Rejects with NOT_FOUND when
 * there was none, with STORE_IO when what it left behind to compare with is damaged.
 */
export async function verifyFolder(directory: string, options: RunOptions): Promise<VerifyResult> {
  const { onProgress, signal } = options;
  const folder = join(directory, stateFolder);
  const state = await readPulledState(folder);
  if (state === undefined)
    throw new ModelError(
      "NOT_FOUND",
      `${directory} is no folder that a complete pull has written`,
      {
        hint: "pull into it first (`ballast pull REF -o DIR`), or verify the reference",
      },
    );
  const index = await readStoredIndex(folder, state.index);
  const pulled = new Set(state.files.map((file) => file.path));
  const files = index.files.filter((file) => pulled.has(file.path));
  announceVerify(files, options);
  await using disk = startDiskThreads();
  const problems: VerifyProblem[] = [];
  await forEachConcurrently(files, filesAtOnce, async (file) => {
    signal?.throwIfAborted();
    const { path, size: fileSize } = file;
    const onChecked = (bytes: number) =>
      onProgress?.({ type: "bytes", path, fileSize, bytes, how: "checked" });
    const problem = await checkFile(disk, join(directory, path), file, { signal, onChecked });
    if (problem !== undefined) problems.push({ path, problem });
  });
  return reportVerify({ name: state.name, digest: state.manifest }, files, problems);
}

async function readStoredIndex(folder: string, digest: Digest): Promise<ChunkIndex> {
  const path = storePaths(folder).blob(digest);
  const bytes = await readFile(path).catch(undefinedIfMissing);
  if (bytes === undefined || digestOf(bytes) !== digest)
    throw new ModelError("STORE_IO", `${path} is missing or damaged`, {
      hint: "pull into the folder again: files that are right are kept",
    });
  return parseChunkIndex(bytes, `index ${digest}`);
}

async function checkFile(
  disk: DiskThreads,
  path: string,
  file: IndexedFile,
  options: Parameters<typeof findWrongRanges>[3],
): Promise<string | undefined> {
  const found = await stat(path).catch(undefinedIfMissing);
  if (found === undefined) return "is missing";
  if (!found.isFile()) return "is no file";
  if (found.size !== file.size) return `is ${found.size} bytes, the index says ${file.size}`;
  const wrong = await findWrongRanges(disk, path, file, options);
  if (wrong.length > 0) return describeRanges(wrong);
  if (!needsWholeDigest(file)) return claimProblem(file);
  const [actual] = await disk.hash([{ path, offset: 0, size: file.size }]);
  return claimProblem(file, actual);
}

function describeRanges(wrong: readonly { offset: number; size: number }[]): string {
  const bytes = wrong.reduce((sum, { size }) => sum + size, 0);
  const [first] = wrong;
  const where = `${wrong.length} of its chunks, the first at byte ${first?.offset}`;
  return `${bytes} bytes are not what was pushed: ${where}`;
}
