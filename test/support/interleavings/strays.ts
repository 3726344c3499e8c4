import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileId } from "../../../src/core/chunk-index.ts";
import { digestHex, digestOf } from "../../../src/core/digest.ts";
import { grantedFiles, listRecords, type ModelRecord } from "../../../src/store/model-record.ts";
import { originKey, type StorePaths } from "../../../src/store/store-paths.ts";
import { type Target, targets } from "./catalogue.ts";

/** Paths in a store at rest that no model and no rule of docs/store.md accounts for. */
export async function findStrays(paths: StorePaths): Promise<string[]> {
  const allowed = new Set(["VERSION", "lock", "quarantine", "blobs/sha256"]);
  const allow = (path: string) => {
    for (let at = path.length; at > 0; at = path.lastIndexOf("/", at - 1))
      allowed.add(path.slice(0, at));
  };
  for (const folder of [
    paths.files,
    paths.blobs,
    paths.ingest,
    paths.trees,
    paths.grants,
    paths.trash,
  ])
    allow(relative(paths.root, folder));
  const below: string[] = [];
  const whole = new Set(await readdir(paths.files));
  for (const record of await listRecords(paths)) {
    const target = targetOf(record);
    const granted = await grantedFiles(paths, record);
    const over = granted.intersection(whole);
    for (const path of accountFor(paths, target, over)) allow(relative(paths.root, path));
    below.push(`trees/${target.treeId}/`);
  }
  const found = await readdir(paths.root, { recursive: true });
  return found.filter(
    (path) =>
      !allowed.has(path) &&
      !/^reserve(?:\.\d)?$/.test(path) &&
      !below.some((folder) => path.startsWith(folder)),
  );
}

/** The target that a record speaks of. */
export function targetOf({ origin, manifest }: Pick<ModelRecord, "origin" | "manifest">): Target {
  const found = targets.find(
    (each) => each.model.manifest === manifest && originKey(each.origin) === originKey(origin),
  );
  if (found === undefined) throw new Error(`a record of nothing: ${origin.name}@${manifest}`);
  return found;
}

/** Of a file that is whole and granted nothing is under way. */
function accountFor(
  paths: StorePaths,
  { origin, model, treeId }: Target,
  over: ReadonlySet<string>,
): string[] {
  const records = join(paths.grants, origin.host, origin.repository, "_models");
  const manifest = digestHex(model.manifest);
  const ids = model.index.files.map(fileId);
  const begun = ids.filter((id) => !over.has(id));
  const ingest = join(paths.ingest, originKey(origin));
  return [
    join(paths.trees, treeId),
    paths.blob(model.manifest),
    paths.blob(digestOf(model.indexBytes)),
    join(records, `${manifest}.json`),
    join(records, `${manifest}.files`),
    ...ids.map((id) => paths.file(id)),
    ingest,
    ...begun.flatMap((id) => ["", "data", "journal"].map((name) => join(ingest, id, name))),
  ];
}
