import {
  appendFile,
  chmod,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  stat,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { pathExists, undefinedIfMissing } from "../core/absence.ts";
import { fileId, type IndexedFile } from "../core/chunk-index.ts";
import { syncDirectory } from "../core/durable-file.ts";
import { ModelError } from "../core/errors.ts";
import { journalHeader, journalRecord, parseJournal } from "./journal.ts";
import { type Origin, originKey, type StorePaths } from "./store-paths.ts";

/** The write of one file; nothing of it is visible to a reader before `commit`. */
export interface Ingest {
  readonly id: string;
  readonly file: IndexedFile;
  /** Where chunks are written, each at its offset in the file. */
  readonly path: string;
  /** Numbers of the chunks that are on disk and verified. */
  readonly verified: ReadonlySet<number>;
  /** Chunks said to be on disk, by a journal that cannot be trusted: hash them before use. */
  readonly hints: readonly number[];
  /** Notes chunks as verified. Their bytes are in the page cache or on disk already. */
  record(chunks: readonly number[]): Promise<void>;
  /** Makes the file durable and visible under its id. Rejects unless every chunk is verified. */
  commit(): Promise<void>;
}

export interface IngestOptions {
  readonly paths: StorePaths;
  readonly origin: Origin;
  readonly file: IndexedFile;
  /** See core/boot-id.ts. */
  readonly bootId: string | undefined;
}

/** Begins or resumes the write of a file. Unfinished writes of other origins are never touched. */
export async function openIngest(options: IngestOptions): Promise<Ingest> {
  const { paths, origin, file, bootId } = options;
  const id = fileId(file);
  const folder = ingestFolder(paths, origin, id);
  await mkdir(folder, { recursive: true });
  const [path, journal] = [join(folder, "data"), join(folder, "journal")];
  const { trusted, hints, clean } = await readProgress({ path, journal, file, bootId });
  if (!clean) await startJournal(journal, trusted, bootId);
  await setLength(path, file.size);
  const verified = new Set(trusted);
  return {
    id,
    file,
    path,
    verified,
    hints,
    record: async (chunks) => {
      await appendFile(journal, chunks.map(journalRecord).join(""));
      for (const chunk of chunks) verified.add(chunk);
    },
    commit: async () => {
      if (verified.size !== file.chunks.length) throw new Error(`commit of unfinished file ${id}`);
      await commitFile(path, file.size, paths.file(id));
      await syncDirectory(paths.files);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The folder of an unfinished file. */
export function ingestFolder(paths: StorePaths, origin: Origin, id: string): string {
  return join(paths.ingest, originKey(origin), id);
}

/**
 * The chunks of an unfinished file that may be trusted without reading them, for use as a donor.
 */
export async function verifiedChunks(
  options: IngestOptions & { id: string },
): Promise<readonly number[]> {
  const folder = ingestFolder(options.paths, options.origin, options.id);
  const path = join(folder, "data");
  const progress = await readProgress({ ...options, path, journal: join(folder, "journal") });
  return progress.trusted;
}

/** Removes what unfinished writes left behind that have nothing to go on with. */
export async function sweepIngests(paths: StorePaths): Promise<void> {
  for (const key of await readdir(paths.ingest)) {
    const ofOrigin = join(paths.ingest, key);
    const entries = await readdir(ofOrigin, { withFileTypes: true });
    for (const entry of entries) {
      const folder = join(ofOrigin, entry.name);
      if (entry.isDirectory() && !(await pathExists(join(folder, "data"))))
        await rm(folder, { recursive: true, force: true });
    }
    if ((await readdir(ofOrigin)).length === 0) await rmdir(ofOrigin);
  }
}

/** Length, fsync, read-only, rename. Where the same file is already, that one stays. */
async function commitFile(from: string, size: number, to: string): Promise<void> {
  // Trees link to the inode that is there; replacing it would store the bytes twice.
  if (await isWhole(to, size)) return;
  {
    await using handle = await open(from, "r+");
    const actual = (await handle.stat()).size;
    if (actual !== size)
      throw new ModelError("STORE_IO", `${from} is ${actual} bytes on disk, not ${size}`);
    await handle.sync();
    await handle.chmod(0o444);
  }
  await rename(from, to);
}

/** Tells whether a committed file is at `path`, by its length: its bytes were verified before. */
export async function isWhole(path: string, size: number): Promise<boolean> {
  return (await stat(path).catch(undefinedIfMissing))?.size === size;
}

interface Progress {
  readonly trusted: readonly number[];
  readonly hints: readonly number[];
  /** The journal says just what is trusted, in this boot: lines may be added to it. */
  readonly clean: boolean;
}

/** Records of this boot are facts; of another, or behind damage, only hints (data may be zeros). */
async function readProgress(options: {
  path: string;
  journal: string;
  file: IndexedFile;
  bootId: string | undefined;
}): Promise<Progress> {
  const { path, journal, file, bootId } = options;
  const text = await readFile(journal, "utf8").catch(undefinedIfMissing);
  if (text === undefined || !(await isWhole(path, file.size)))
    return { trusted: [], hints: [], clean: false };
  const everything = [...file.chunks.keys()];
  const parsed = parseJournal(text);
  if (parsed === undefined) return { trusted: [], hints: everything, clean: false };
  const known = [...new Set(parsed.chunks)].filter((chunk) => chunk < file.chunks.length);
  const sameBoot = bootId !== undefined && parsed.bootId === bootId;
  if (!sameBoot) return { trusted: [], hints: parsed.intact ? known : everything, clean: false };
  if (parsed.intact) return { trusted: known, hints: [], clean: !parsed.torn };
  const trusted = new Set(known);
  const hints = everything.filter((chunk) => !trusted.has(chunk));
  return { trusted: known, hints, clean: false };
}

async function startJournal(
  journal: string,
  trusted: readonly number[],
  bootId: string | undefined,
): Promise<void> {
  await writeFile(journal, journalHeader(bootId) + trusted.map(journalRecord).join(""));
}

/** A kill inside a commit leaves the file read-only. */
async function setLength(path: string, size: number): Promise<void> {
  await chmod(path, 0o644).catch(undefinedIfMissing);
  await using handle = await open(path, "a", 0o644);
  if ((await handle.stat()).size !== size) await handle.truncate(size);
}
