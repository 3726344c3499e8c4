import { readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { undefinedIfMissing } from "../../../core/absence.ts";
import { isRecord } from "../../../core/chunk-index.ts";
import { type ContentDigest, isContentDigest } from "../../../core/digest.ts";
import { isModelError } from "../../../core/errors.ts";
import { parseJson } from "../../../core/json.ts";
import { onDisk } from "../../../core/system-error.ts";
import type { UploadFolder } from "../upload-folder.ts";

const maxBytes = 67_108_864;

/** Since when, in milliseconds of the epoch, nothing reaches what. */
export type UnreachableMarks = ReadonlyMap<ContentDigest, number>;

/** Where a layout remembers them. */
interface MarksPlace {
  readonly directory: string;
  readonly uploads: UploadFolder;
}

/** Reads `unreachable.json` of a layout. One that is damaged says nothing: everything waits anew. */
export async function readMarks({ directory }: MarksPlace): Promise<UnreachableMarks> {
  const path = marksPath(directory);
  const bytes = await onDisk(`read of ${path}`, () => readFile(path).catch(undefinedIfMissing));
  if (bytes === undefined) return new Map();
  try {
    const document = parseJson(bytes, { maxBytes, what: path, code: "INVALID_MANIFEST" });
    const since = isRecord(document) ? document["since"] : undefined;
    return new Map(isRecord(since) ? readTimes(since) : []);
  } catch (error) {
    if (!isModelError(error, "INVALID_MANIFEST")) throw error;
    return new Map();
  }
}

/** Replaces it as a whole; without marks there is no file. Rejects with NO_SPACE, STORE_IO. */
export async function writeMarks(place: MarksPlace, marks: UnreachableMarks): Promise<void> {
  const path = marksPath(place.directory);
  const replace = () => (marks.size === 0 ? rm(path, { force: true }) : write(place, path, marks));
  await onDisk(`write of ${path}`, replace, place.directory);
}

async function write(
  { uploads }: MarksPlace,
  path: string,
  marks: UnreachableMarks,
): Promise<void> {
  const since = [...marks].map(([digest, at]) => [digest, new Date(at).toISOString()]);
  const temporary = uploads.newPath();
  try {
    await using file = await uploads.open(temporary);
    await file.writeFile(JSON.stringify({ since: Object.fromEntries(since) as unknown }));
    await file.sync();
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function marksPath(directory: string): string {
  return join(directory, "unreachable.json");
}

function* readTimes(
  since: Readonly<Record<string, unknown>>,
): Generator<readonly [ContentDigest, number]> {
  for (const [digest, text] of Object.entries(since)) {
    const at = typeof text === "string" ? Date.parse(text) : Number.NaN;
    if (isContentDigest(digest) && !Number.isNaN(at)) yield [digest, at];
  }
}
