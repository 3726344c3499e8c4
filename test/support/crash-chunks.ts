import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileId, type IndexedFile } from "../../src/core/chunk-index.ts";
import { type Digest, digestOf } from "../../src/core/digest.ts";
import { parseJournal } from "../../src/store/journal.ts";

/**
 * Chunks that a store need not fetch again: of whole files, of small files that wait for their
 * commit, and those that a journal names and that are there.
 */
export async function chunksInStore(
  root: string,
  files: readonly IndexedFile[],
): Promise<Set<Digest>> {
  const paths = await readdir(root, { recursive: true }).catch((): string[] => []);
  const here = new Set<Digest>();
  for (const file of files) {
    const id = fileId(file);
    const known = paths.filter(
      (path) => path === `files/${id}` || (path.startsWith("ingest/") && path.includes(`/${id}`)),
    );
    for (const path of known)
      for (const each of await chunksAt(join(root, path), file)) here.add(each);
  }
  return here;
}

/** Of a whole file, a small file or the journal of a large one. */
async function chunksAt(path: string, file: IndexedFile): Promise<readonly Digest[]> {
  if (path.endsWith("/data")) return [];
  if (!path.endsWith("/journal")) return chunksOf(path, file);
  const right = new Set(await chunksOf(path.replace(/journal$/, "data"), file));
  const records = parseJournal(await readFile(path, "utf8"))?.chunks ?? [];
  const named = records.flatMap((number) => file.chunks[number]?.digest ?? []);
  return named.filter((digest) => right.has(digest));
}

/** Chunks of files that stand in their places in a folder. */
export async function chunksInFolder(
  root: string,
  files: readonly IndexedFile[],
): Promise<Set<Digest>> {
  const here = new Set<Digest>();
  for (const file of files)
    for (const each of await chunksOf(join(root, file.path), file)) here.add(each);
  return here;
}

/** Bytes of the chunks that `files` need and that are not `here`, each once. */
export function missingBytes(files: readonly IndexedFile[], here: ReadonlySet<Digest>): number {
  const sizes = new Map(
    files.flatMap(({ chunks }) => chunks.map(({ digest, size }) => [digest, size])),
  );
  return [...sizes].reduce((sum, [digest, size]) => sum + (here.has(digest) ? 0 : size), 0);
}

/** Of a file's chunks, those that the file at `path` holds in their places. */
async function chunksOf(path: string, { chunks }: IndexedFile): Promise<Digest[]> {
  const bytes = await readFile(path).catch(() => Buffer.alloc(0));
  let offset = 0;
  return chunks
    .filter(({ digest, size }) => {
      offset += size;
      return digestOf(bytes.subarray(offset - size, offset)) === digest;
    })
    .map(({ digest }) => digest);
}
