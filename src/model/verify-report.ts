import type { IndexedFile } from "../core/chunk-index.ts";
import { type Digest, digestOf } from "../core/digest.ts";
import { comparePaths } from "../core/model-path.ts";
import type { RunOptions } from "../core/progress.ts";

export interface VerifyProblem {
  /** The file, or the layer's digest where no file is concerned. */
  readonly path: string;
  readonly problem: string;
}

export interface VerifyResult {
  readonly name: string;
  readonly digest: Digest;
  readonly files: number;
  readonly bytes: number;
  /** Empty when every byte is as the index says. */
  readonly problems: readonly VerifyProblem[];
}

/** Tells how much will be read. */
export function announceVerify(files: readonly IndexedFile[], { onProgress }: RunOptions): void {
  const totalBytes = files.reduce((sum, file) => sum + file.size, 0);
  onProgress?.({ type: "start", activity: "verify", totalBytes, files: files.length });
}

/** Makes the result: problems sorted by path. */
export function reportVerify(
  { name, digest }: { readonly name: string; readonly digest: Digest },
  files: readonly IndexedFile[],
  problems: readonly VerifyProblem[],
): VerifyResult {
  const bytes = files.reduce((sum, file) => sum + file.size, 0);
  const byPath = problems.toSorted((a, b) => comparePaths(a.path, b.path));
  return { name, digest, files: files.length, bytes, problems: byPath };
}

/** Whether a file's whole digest must be computed: with at most one chunk its chunk list says it. */
export function needsWholeDigest({ digest, chunks }: IndexedFile): boolean {
  return digest !== undefined && chunks.length > 1;
}

/**
 * What is wrong with the claim of the index about a whole file, if anything. `actual` is the digest
 * of its bytes, needed where `needsWholeDigest`.
 */
export function claimProblem(
  { digest, chunks }: IndexedFile,
  actual: Digest | undefined = chunks.length === 0 ? digestOf("") : chunks[0]?.digest,
): string | undefined {
  if (digest === undefined || digest === actual) return undefined;
  return `has digest ${actual}, the index claims ${digest}`;
}
