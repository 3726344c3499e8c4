import { fileId } from "../core/chunk-index.ts";
import type { Digest } from "../core/digest.ts";
import { readIndex } from "./chunk-locations.ts";
import type { StoredRecord } from "./model-record.ts";
import type { StorePaths } from "./store-paths.ts";

/** A file of a model. */
interface NamedFile {
  readonly path: string;
  readonly id: string;
}

/**
 * The files that models have. An index is large and never another under its digest, so what it names is
 * kept once it was read: looking at 2,000 models again reads no index again.
 */
export interface IndexFiles {
  /** Undefined when the index is not on this machine, or damaged, and was not read before. */
  filesOf(record: Pick<StoredRecord, "index">): Promise<readonly NamedFile[] | undefined>;
  /** Forgets all but these. */
  keepOnly(records: readonly Pick<StoredRecord, "index">[]): void;
}

/** Nothing is read yet. */
export function createIndexFiles(paths: StorePaths): IndexFiles {
  const known = new Map<Digest, readonly NamedFile[]>();
  return {
    filesOf: async (record) => {
      const read = known.get(record.index);
      if (read !== undefined) return read;
      const index = await readIndex(paths, record);
      const files = index?.files.map((file) => ({ path: file.path, id: fileId(file) }));
      if (files !== undefined) known.set(record.index, files);
      return files;
    },
    keepOnly: (records) => {
      const wanted = new Set(records.map(({ index }) => index));
      for (const digest of known.keys()) if (!wanted.has(digest)) known.delete(digest);
    },
  };
}
