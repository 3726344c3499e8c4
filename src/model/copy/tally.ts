import type { ContentDigest } from "../../core/digest.ts";
import type { ProgressListener } from "../../core/progress.ts";
import type { LinkedBlob } from "./links.ts";

/** What became of blobs: sent, linked or mounted at the target without sending, there before, not to be had. */
export type Outcome = "moved" | "mounted" | "there" | "leftOut";

/** Blobs or their bytes, by what became of them. */
export type Outcomes = Record<Outcome | "total", number>;

/** Adds up what becomes of each blob, and tells who listens. */
export interface BlobTally {
  readonly blobs: Outcomes;
  readonly bytes: Outcomes;
  /** Bytes of a blob that went out; negative when its sending starts over. */
  sent(blob: LinkedBlob, bytes: number): void;
  ended(blob: LinkedBlob, outcome: Outcome): void;
}

/** Starts with nothing counted. */
export function createBlobTally(
  blobs: ReadonlyMap<ContentDigest, LinkedBlob>,
  onProgress: ProgressListener | undefined,
): BlobTally {
  const none = { moved: 0, mounted: 0, there: 0, leftOut: 0 };
  const totalBytes = [...blobs.values()].reduce((sum, { size }) => sum + size, 0);
  const counts = { ...none, total: blobs.size };
  const bytes = { ...none, total: totalBytes };
  onProgress?.({ type: "start", activity: "copy", totalBytes, files: blobs.size });
  const report = ({ digest, size: fileSize }: LinkedBlob, count: number, isMoved: boolean) => {
    const how = isMoved ? "moved" : "reused";
    onProgress?.({ type: "bytes", path: digest, fileSize, bytes: count, how });
  };
  return {
    blobs: counts,
    bytes,
    sent: (blob, count) => report(blob, count, true),
    ended(blob, outcome) {
      counts[outcome] += 1;
      bytes[outcome] += blob.size;
      if (outcome !== "moved") report(blob, blob.size, false);
    },
  };
}
