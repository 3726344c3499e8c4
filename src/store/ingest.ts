import { appendFile, chmod, open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { undefinedIfMissing } from "../core/absence.ts";
import { fileId, type IndexedFile } from "../core/chunk-index.ts";
import { syncDirectory } from "../core/durable-file.ts";
import { ModelError } from "../core/errors.ts";
import { makeFolder } from "../core/make-folder.ts";
import { journalHeader, journalRecord, parseJournal } from "./journal.ts";
import { type Origin, originKey, type StorePaths } from "./store-paths.ts";
import { isWhole, showWhole } from "./whole-files.ts";

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
  await makeFolder(folder);
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

/** Length, fsync, read-only, rename. Where the same file is already, that one stays. */
async function commitFile(from: string, size: number, to: string): Promise<void> {
  if (await isWhole(to, size)) return;
  {
    await using handle = await open(from, "r+");
    const actual = (await handle.stat()).size;
    if (actual !== size)
      throw new ModelError("STORE_IO", `${from} is ${actual} bytes on disk, not ${size}`);
    await handle.sync();
    await handle.chmod(0o444);
  }
  showWhole(from, to, size);
}

interface Progress {
  readonly trusted: readonly number[];
  readonly hints: readonly number[];
  /** The journal says just what is trusted, in this boot: lines may be added to it. */
  readonly clean: boolean;
}

/**
 * Records of this boot are facts; of another, behind damage, or for more bytes than the disk holds,
 * only hints (data may be zeros).
 */
async function readProgress(options: {
  path: string;
  journal: string;
  file: IndexedFile;
  bootId: string | undefined;
}): Promise<Progress> {
  const { path, journal, file, bootId } = options;
  const text = await readFile(journal, "utf8").catch(undefinedIfMissing);
  const found = await stat(path).catch(undefinedIfMissing);
  if (text === undefined || found?.size !== file.size)
    return { trusted: [], hints: [], clean: false };
  const everything = [...file.chunks.keys()];
  const parsed = parseJournal(text);
  if (parsed === undefined) return { trusted: [], hints: everything, clean: false };
  const known = [...new Set(parsed.chunks)].filter((chunk) => chunk < file.chunks.length);
  const sameBoot = bootId !== undefined && parsed.bootId === bootId;
  // A filesystem that failed and was mounted again has lost what was not yet on its disk.
  const lost = found.blocks * 512 < sizeOfChunks(file, known);
  if (!sameBoot || lost)
    return { trusted: [], hints: parsed.intact ? known : everything, clean: false };
  if (parsed.intact) return { trusted: known, hints: [], clean: !parsed.torn };
  const trusted = new Set(known);
  const hints = everything.filter((chunk) => !trusted.has(chunk));
  return { trusted: known, hints, clean: false };
}

function sizeOfChunks({ chunks }: IndexedFile, numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + (chunks[number]?.size ?? 0), 0);
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
