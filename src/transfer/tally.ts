import type { ProgressListener } from "../core/progress.ts";
import type { WantedFile } from "./present.ts";

/** Bytes of the wanted files, by how they came. */
export interface ByteCounts {
  readonly moved: number;
  readonly reused: number;
}

/** Counts bytes and tells the listener of each. */
export interface Tally extends ByteCounts {
  /** Bytes that arrived for a file; negative ones take back what a failed attempt counted. */
  addMoved(wanted: WantedFile, bytes: number): void;
  /** Bytes of a file that did not have to move; `paths` defaults to all that show the file. */
  addReused(wanted: WantedFile, bytes: number, paths?: readonly string[]): void;
}

/** Starts counting from zero. */
export function createTally(onProgress: ProgressListener | undefined): Tally {
  let moved = 0;
  let reused = 0;
  return {
    get moved() {
      return moved;
    },
    get reused() {
      return reused;
    },
    addMoved: ({ file, paths }, bytes) => {
      moved += bytes;
      const path = paths[0] ?? file.path;
      onProgress?.({ type: "bytes", path, fileSize: file.size, bytes, how: "moved" });
    },
    addReused: (wanted, bytes, paths = wanted.paths) => {
      reused += bytes * paths.length;
      for (const path of bytes === 0 ? [] : paths)
        onProgress?.({ type: "bytes", path, fileSize: wanted.file.size, bytes, how: "reused" });
    },
  };
}
