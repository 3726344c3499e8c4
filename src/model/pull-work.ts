import type { IndexedFile } from "../core/chunk-index.ts";
import type { RunOptions } from "../core/progress.ts";
import { selectionId } from "../core/selection.ts";
import type { Repository } from "../oci/repository.ts";
import type { ByteCounts } from "../transfer/tally.ts";
import type { Transfer } from "../transfer/transfer.ts";
import type { PullResult } from "./pull.ts";
import type { OpenedModel } from "./pulled-model.ts";

/** One pull under way: a model that is resolved and recorded, and the files that are wanted of it. */
export interface PullWork extends RunOptions {
  readonly repository: Repository;
  readonly opened: OpenedModel;
  readonly files: readonly IndexedFile[];
  /** The tag that was asked for. */
  readonly tag: string | undefined;
  readonly transfer: Transfer;
}

/** What a pull tells, less what its connection knows. */
export type Pulled = Omit<PullResult, "requests" | "warnings">;

/** The name of the chosen files among all of the model. */
export function selectionOf(opened: OpenedModel, files: readonly IndexedFile[]): string {
  const all = opened.model.index.files.map((file) => file.path);
  return selectionId(
    files.map((file) => file.path),
    all,
  );
}

/** Makes the result of a pull. */
export function describePull(
  { opened, files }: PullWork,
  done: {
    readonly path: string;
    readonly bytes: ByteCounts;
    readonly removed?: readonly string[] | undefined;
    readonly previousDigest?: PullResult["previousDigest"];
  },
): Pulled {
  const { path, bytes, removed = [], previousDigest = opened.previousDigest } = done;
  const { name, digest } = opened.model;
  const { treeId } = opened.record;
  const total = files.reduce((sum, file) => sum + file.size, 0);
  const { moved, reused } = bytes;
  return {
    path,
    name,
    digest,
    previousDigest,
    treeId,
    selection: selectionOf(opened, files),
    files: files.length,
    bytes: { total, moved, reused },
    removed,
  };
}
