import { join } from "node:path";
import { type Digest, digestHex, digestOf } from "../core/digest.ts";

/** Where things stand below a store's root; see docs/store.md. */
export interface StorePaths {
  readonly root: string;
  readonly version: string;
  readonly lock: string;
  readonly reserve: string;
  readonly blobs: string;
  readonly files: string;
  readonly ingest: string;
  readonly trees: string;
  readonly grants: string;
  readonly leases: string;
  readonly trash: string;
  readonly quarantine: string;
  readonly retired: string;
  blob(digest: Digest): string;
  file(id: string): string;
  tree(treeId: string, selection: string): string;
}

/** The paths below `root`. Touches nothing. */
export function storePaths(root: string): StorePaths {
  const blobs = join(root, "blobs", "sha256");
  const files = join(root, "files");
  const trees = join(root, "trees");
  return {
    root,
    version: join(root, "VERSION"),
    lock: join(root, "lock"),
    reserve: join(root, "reserve"),
    blobs,
    files,
    ingest: join(root, "ingest"),
    trees,
    grants: join(root, "grants"),
    leases: join(root, "leases"),
    trash: join(root, "trash"),
    quarantine: join(root, "quarantine"),
    retired: join(root, "retired"),
    blob: (digest) => join(blobs, digestHex(digest)),
    file: (id) => join(files, id),
    tree: (treeId, selection) => join(trees, treeId, selection, "tree"),
  };
}

/**
 * Where content came from, and so who may reuse it: a repository of a host. Chunks are shared
 * freely inside one origin, across origins of a host only by layer (docs/store.md).
 */
export interface Origin {
  readonly host: string;
  readonly repository: string;
  /** `host/repository` or `oci:DIR`, for people. */
  readonly name: string;
}

/** The origin of a repository by its name (`Repository.name`). */
export function originOf(name: string): Origin {
  if (name.startsWith("oci:"))
    return { host: "oci-layout", repository: digestHex(digestOf(name)).slice(0, 32), name };
  const slash = name.indexOf("/");
  return { host: name.slice(0, slash), repository: name.slice(slash + 1), name };
}

/** A short folder name for an origin's unfinished files. */
export function originKey(origin: Origin): string {
  return digestHex(digestOf(`${origin.host}/${origin.repository}`)).slice(0, 32);
}
