import type { ModelProgress } from "../agent/api/documents.ts";
import type { ProgressListener } from "../core/progress.ts";

/** Turns what an agent tells of one model into the events of a pull. */
export function followDelivery(
  listener: ProgressListener | undefined,
): (progress: ModelProgress) => void {
  let before: ModelProgress | undefined;
  return (progress) => {
    const { name, totalBytes, hereBytes } = progress;
    if (totalBytes === 0) return;
    if (before === undefined) listener?.({ type: "start", activity: "pull", totalBytes, files: 1 });
    const bytes = hereBytes - (before?.hereBytes ?? 0);
    listener?.({ type: "bytes", path: name, fileSize: totalBytes, bytes, how: "moved" });
    before = progress;
  };
}
