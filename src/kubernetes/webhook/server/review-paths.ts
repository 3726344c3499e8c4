import { hash, timingSafeEqual } from "node:crypto";

/** The paths at which reviews are taken: the last one, and the one before for those who know no newer. */
export interface ReviewPaths {
  admit(path: string): void;
  /** Takes the same time for every other path, so that none can be felt for. */
  has(path: string): boolean;
}

const kept = 2;

/** Creates a list that admits nothing. */
export function createReviewPaths(): ReviewPaths {
  let admitted: { readonly path: string; readonly mark: Buffer }[] = [];
  return {
    admit(path) {
      const others = admitted.filter((each) => each.path !== path);
      admitted = [{ path, mark: markOf(path) }, ...others].slice(0, kept);
    },
    has(path) {
      const mark = markOf(path);
      return admitted.map((each) => timingSafeEqual(each.mark, mark)).includes(true);
    },
  };
}

function markOf(path: string): Buffer {
  return hash("sha256", path, "buffer");
}
