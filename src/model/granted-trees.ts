import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { undefinedIfMissing } from "../core/absence.ts";
import { createPathFilter, type Selection, selectionId } from "../core/selection.ts";
import { createIndexFiles, type IndexFiles } from "../store/index-files.ts";
import { grantedFiles, readRecord, type StoredRecord } from "../store/model-record.ts";
import type { StorePaths } from "../store/store-paths.ts";
import { listSelections } from "../store/tree.ts";

/**
 * The trees of a model of which every file was granted to its origin. Trees are shared by all
 * origins, and a record alone proves nothing: an index may claim another's files.
 */
export async function grantedTrees(
  paths: StorePaths,
  record: StoredRecord,
  files: IndexFiles = createIndexFiles(paths),
): Promise<string[]> {
  const selections = await listSelections(paths, record.treeId);
  if (selections.length === 0) return [];
  const granted = await grantedFiles(paths, record);
  const named = await files.filesOf(record);
  const allowed = new Set(named?.filter(({ id }) => granted.has(id)).map(({ path }) => path));
  const all = selections.map((selection) => paths.tree(record.treeId, selection));
  // The usual case: the whole model was pulled, so no tree of it can show more.
  if (allowed.size === named?.length) return all;
  const trees: string[] = [];
  for (const tree of all) {
    const options = { recursive: true, withFileTypes: true } as const;
    const entries = await readdir(tree, options).catch(undefinedIfMissing);
    // Removed meanwhile: who lists models takes no lock.
    if (entries === undefined) continue;
    const shown = entries.filter((entry) => entry.isFile());
    const pathOf = (entry: Dirent) => relative(tree, join(entry.parentPath, entry.name));
    if (shown.every((entry) => allowed.has(pathOf(entry)))) trees.push(tree);
  }
  return trees;
}

/** Tells whether the tree of these files of a model is complete here, and each granted to its origin. */
export async function hasGrantedTree(
  paths: StorePaths,
  { origin, manifest, ...selection }: Pick<StoredRecord, "origin" | "manifest"> & Selection,
): Promise<boolean> {
  const record = await readRecord(paths, origin, manifest);
  if (record === undefined) return false;
  const files = createIndexFiles(paths);
  const named = await files.filesOf(record);
  if (named === undefined) return false;
  const all = named.map(({ path }) => path);
  const id = selectionId(all.filter(createPathFilter(selection)), all);
  return (await grantedTrees(paths, record, files)).includes(paths.tree(record.treeId, id));
}
