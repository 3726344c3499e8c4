import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { undefinedIfMissing } from "../core/absence.ts";
import { fileId } from "../core/chunk-index.ts";
import { readIndex } from "../store/chunk-locations.ts";
import { grantedFiles, type StoredRecord } from "../store/model-record.ts";
import type { StorePaths } from "../store/store-paths.ts";
import { listSelections } from "../store/tree.ts";

/**
 * The trees of a model of which every file was granted to its origin. Trees are shared by all
 * origins, and a record alone proves nothing: an index may claim another's files.
 */
export async function grantedTrees(paths: StorePaths, record: StoredRecord): Promise<string[]> {
  const selections = await listSelections(paths, record.treeId);
  if (selections.length === 0) return [];
  const granted = await grantedFiles(paths, record);
  const index = await readIndex(paths, record);
  const allowed = new Set(
    index?.files.filter((file) => granted.has(fileId(file))).map((file) => file.path),
  );
  const all = selections.map((selection) => paths.tree(record.treeId, selection));
  // The usual case: the whole model was pulled, so no tree of it can show more.
  if (allowed.size === index?.files.length) return all;
  const trees: string[] = [];
  for (const tree of all) {
    const options = { recursive: true, withFileTypes: true } as const;
    const entries = await readdir(tree, options).catch(undefinedIfMissing);
    // Removed meanwhile: who lists models takes no lock.
    if (entries === undefined) continue;
    const files = entries.filter((entry) => entry.isFile());
    const pathOf = (entry: Dirent) => relative(tree, join(entry.parentPath, entry.name));
    if (files.every((entry) => allowed.has(pathOf(entry)))) trees.push(tree);
  }
  return trees;
}
