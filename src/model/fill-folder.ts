import { join } from "node:path";
import { fileId, type IndexedFile, parseChunkIndex } from "../core/chunk-index.ts";
import type { Digest } from "../core/digest.ts";
import type { ChunkLocation } from "../store/chunk-locations.ts";
import type { Store } from "../store/store.ts";
import { buildTree } from "../store/tree.ts";
import type { ByteCounts } from "../transfer/tally.ts";
import { findInPlace } from "./in-place.ts";
import {
  clearWork,
  describePulled,
  donorsOf,
  refuseReservedPaths,
  removeObsolete,
  syncPlaces,
} from "./output-folder.ts";
import { type Placing, placeFiles } from "./place-files.ts";
import { checkPlacing } from "./placing-check.ts";
import { describePull, type Pulled, type PullWork, selectionOf } from "./pull-work.ts";
import { bringFiles } from "./pulled-model.ts";
import { type PulledFile, type PulledState, writePulledState } from "./pulled-state.ts";

export interface FolderWork extends PullWork {
  /** The folder for the files. */
  readonly output: string;
  /** The store inside it, where files are written before they are moved to their places. */
  readonly folder: Store;
  /** The store the files are copied or linked from, if they are to be kept in one as well. */
  readonly store: Store | undefined;
  /** What the last complete pull left in the folder. */
  readonly last: PulledState | undefined;
  readonly overwrite: boolean;
  readonly link: boolean;
}

/**
 * Fills an output folder. Nothing in it changes before every byte is here and verified; then files
 * are moved in one by one, and the state is written last. A run that was killed is continued.
 */
export async function fillFolder(work: FolderWork): Promise<Pulled> {
  const { output, opened, files, last: state, overwrite, transfer, signal } = work;
  refuseReservedPaths(opened.model.index, opened.model.name);
  const obsolete = obsoleteFiles(work, state);
  const { disk } = transfer;
  const looked = { directory: output, files, state, obsolete, disk, overwrite, signal };
  const inPlace = await findInPlace(looked);
  const absent = files.filter((file) => !inPlace.has(file.path));
  const kept = files.filter((file) => inPlace.has(file.path));
  reportKept(work, kept);
  if (work.store !== undefined && absent.length > 0)
    await checkPlacing(work.store, { ...work, files: absent, obsolete });
  const { bytes, sourceOf, placing } =
    work.store === undefined
      ? await bringIntoFolder({ ...work, files: absent }, state)
      : await bringThroughStore({ ...work, files: absent }, work.store);
  const removed = await removeObsolete(output, obsolete);
  await placeFiles({ directory: output, files: absent, sourceOf, placing });
  // The state is believed after power loss, by size and time: its files must be there by then.
  const placed = [...absent, ...unlisted(kept, state)].map((file) => file.path);
  await syncPlaces(output, [...removed, ...placed]);
  await writeState(work, state, obsolete);
  await clearWork(output, [opened.model.digest, opened.model.indexDigest]);
  const reused = bytes.reused + kept.reduce((sum, file) => sum + file.size, 0);
  const previousDigest = movedTag(work, state);
  const counts = { moved: bytes.moved, reused };
  return describePull(work, { path: output, bytes: counts, removed, previousDigest });
}

/** Files that the state does not tell of yet: somebody else, or a run that was killed, put them there. */
function unlisted(
  files: readonly IndexedFile[],
  state: PulledState | undefined,
): readonly IndexedFile[] {
  const listed = new Map(state?.files.map(({ path, id }) => [path, id]));
  return files.filter((file) => listed.get(file.path) !== fileId(file));
}

function reportKept({ onProgress }: FolderWork, kept: readonly IndexedFile[]): void {
  for (const { path, size } of kept)
    onProgress?.({ type: "bytes", path, fileSize: size, bytes: size, how: "reused" });
}

interface Brought {
  readonly bytes: ByteCounts;
  readonly sourceOf: (file: IndexedFile) => string;
  readonly placing: Placing;
}

/** No second copy anywhere: files are written inside the folder and moved to their places. */
async function bringIntoFolder(work: FolderWork, state: PulledState | undefined): Promise<Brought> {
  const { folder, files } = work;
  const donors = state === undefined ? undefined : await findDonors(work, state);
  const bytes =
    files.length === 0 ? { moved: 0, reused: 0 } : await bringFiles(folder, work, donors);
  return { bytes, sourceOf: (file) => folder.paths.file(fileId(file)), placing: "move" };
}

async function bringThroughStore(work: FolderWork, store: Store): Promise<Brought> {
  const { opened, files, folder, link } = work;
  await folder.writeBlob(opened.model.manifestBytes);
  await folder.writeBlob(opened.model.indexBytes);
  const placing = link ? "link" : "copy";
  if (files.length === 0) return { bytes: { moved: 0, reused: 0 }, sourceOf: () => "", placing };
  const bytes = await bringFiles(store, work);
  if (store.isReadOnly)
    return { bytes, sourceOf: (file) => store.paths.file(fileId(file)), placing };
  const { treeId } = opened.record;
  const selection = selectionOf(opened, files);
  const tree = await buildTree(store.paths, { treeId, selection, files });
  return { bytes, sourceOf: (file) => join(tree, file.path), placing };
}

/** Files of the last pull are donors for a model of the same repository only (docs/store.md). */
async function findDonors(
  { output, folder, repository }: FolderWork,
  state: PulledState,
): Promise<Map<Digest, ChunkLocation> | undefined> {
  if (state.repository !== repository.name) return undefined;
  const bytes = await folder.readBlob(state.index);
  if (bytes === undefined) return undefined;
  return donorsOf(output, state, parseChunkIndex(bytes, `index ${state.index}`));
}

/** Files that the last pull left and that do not belong beside this model. */
function obsoleteFiles(
  { opened, files }: FolderWork,
  state: PulledState | undefined,
): readonly PulledFile[] {
  const chosen = new Set(files.map((file) => file.path));
  const ids = new Map(opened.model.index.files.map((file) => [file.path, fileId(file)]));
  return (state?.files ?? []).filter(
    (file) => !chosen.has(file.path) && ids.get(file.path) !== file.id,
  );
}

async function writeState(
  { output, folder, repository, opened, files, tag }: FolderWork,
  before: PulledState | undefined,
  obsolete: readonly PulledFile[],
): Promise<void> {
  const replaced = new Set([...files, ...obsolete].map((file) => file.path));
  const kept = (before?.files ?? []).filter((file) => !replaced.has(file.path));
  const here = await Promise.all(files.map((file) => describePulled(output, file)));
  const { model } = opened;
  await writePulledState(folder.paths.root, {
    name: model.name,
    repository: repository.name,
    ...(tag === undefined ? {} : { tag }),
    manifest: model.digest,
    index: model.indexDigest,
    files: [...kept, ...here],
  });
}

function movedTag(
  { opened, repository, tag }: FolderWork,
  state: PulledState | undefined,
): Digest | undefined {
  const sameTag = state?.repository === repository.name && tag !== undefined && state.tag === tag;
  return sameTag && state.manifest !== opened.model.digest ? state.manifest : undefined;
}
