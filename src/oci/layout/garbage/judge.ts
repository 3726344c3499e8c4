import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { undefinedIfMissing } from "../../../core/absence.ts";
import { type ContentDigest, isContentDigest } from "../../../core/digest.ts";
import { onDisk } from "../../../core/system-error.ts";
import type { BlobFolder } from "../blob-folder.ts";
import type { LayoutIndex } from "../layout-index.ts";
import { ReachableContent, readListed } from "./reachable.ts";
import type { UnreachableMarks } from "./unreachable-marks.ts";

/** Content that no tag reaches. */
export interface Garbage {
  readonly digest: ContentDigest;
  /** It names other content, or index.json lists it. */
  readonly isManifest: boolean;
  /** Its file, unless index.json lists what is not there. */
  readonly file: GarbageFile | undefined;
}

interface GarbageFile {
  readonly bytes: number;
  /** Names that the file has, here and in other repositories. */
  readonly links: number;
  /** Tells files apart on this machine. */
  readonly inode: string;
}

/** What a collection found. */
export interface GarbageJudgement {
  /** Nothing reaches it since longer than the grace; manifests come first. */
  readonly due: readonly Garbage[];
  /** Nothing reaches it, but not for long enough, or what waits needs it. */
  readonly waiting: readonly Garbage[];
  /** Blobs that tags reach. */
  readonly kept: number;
  /** What to remember. */
  readonly marks: UnreachableMarks;
}

export interface JudgeOptions {
  readonly name: string;
  readonly directory: string;
  readonly blobs: BlobFolder;
  readonly marks: UnreachableMarks;
  readonly graceMs: number;
  /** Milliseconds of the epoch. */
  readonly now: number;
}

/**
 * Judges all content of a layout by its index. Content is due when nothing has reached it for the
 * grace and nobody has claimed it meanwhile (blob-age.ts); a manifest that stays keeps all it names.
 */
export async function judgeGarbage(
  index: LayoutIndex,
  reachable: ReachableContent,
  options: JudgeOptions,
): Promise<GarbageJudgement> {
  const { name, directory, blobs, now } = options;
  const listed = readListed(index, name);
  const tagged = [...listed].filter(([, entry]) => entry.tagged).map(([digest]) => digest);
  const reached = await reachable.from(tagged, listed, true);
  const present = await listBlobs(directory);
  const candidates = new Set([...present, ...listed.keys()]).difference(reached);

  const marks = new Map<ContentDigest, number>();
  const old: Garbage[] = [];
  const young: Garbage[] = [];
  for (const digest of candidates) {
    const found = await statBlob(blobs, digest);
    if (found === undefined && !listed.has(digest)) continue;
    const since = Math.min(options.marks.get(digest) ?? now, now);
    marks.set(digest, since);
    const isManifest =
      listed.has(digest) || (await reachable.names(digest, false))?.isManifest === true;
    const garbage = { digest, isManifest, file: found?.file };
    const isDue = Math.max(since, found?.modifiedAt ?? since) + options.graceMs <= now;
    (isDue ? old : young).push(garbage);
  }
  const staying = young.filter(({ isManifest }) => isManifest).map(({ digest }) => digest);
  // What no tag reaches may be damaged; it only has to stay as it is.
  const needed = await reachable.from(staying, listed, false);
  const due = old.filter(({ digest }) => !needed.has(digest));
  const waiting = [...young, ...old.filter(({ digest }) => needed.has(digest))];
  const order = ({ isManifest }: Garbage) => (isManifest ? 0 : 1);
  return {
    due: due.toSorted((a, b) => order(a) - order(b)),
    waiting,
    kept: present.intersection(reached).size,
    marks,
  };
}

async function listBlobs(directory: string): Promise<Set<ContentDigest>> {
  const found = new Set<ContentDigest>();
  for (const algorithm of ["sha256", "sha512"]) {
    const folder = join(directory, "blobs", algorithm);
    const list = () => readdir(folder).catch(undefinedIfMissing);
    for (const hex of (await onDisk(`listing of ${folder}`, list)) ?? []) {
      const digest = `${algorithm}:${hex}`;
      if (isContentDigest(digest)) found.add(digest);
    }
  }
  return found;
}

async function statBlob(
  blobs: BlobFolder,
  digest: ContentDigest,
): Promise<{ readonly file: GarbageFile; readonly modifiedAt: number } | undefined> {
  const path = blobs.path(digest);
  const found = await onDisk(`look-up of ${path}`, () => stat(path).catch(undefinedIfMissing));
  if (found?.isFile() !== true) return undefined;
  const { size, nlink, dev, ino, mtimeMs } = found;
  return { file: { bytes: size, links: nlink, inode: `${dev}:${ino}` }, modifiedAt: mtimeMs };
}
