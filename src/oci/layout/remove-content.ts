import type { ContentDigest } from "../../core/digest.ts";
import { ModelError } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import type { BlobFolder } from "./blob-folder.ts";
import { findHolder } from "./content-holders.ts";
import type { IndexFile } from "./index-file.ts";
import { findDigest, type LayoutIndex, listManifests, withoutManifest } from "./layout-index.ts";
import type { LinksCache } from "./links-cache.ts";
import { resolveUnlisted } from "./manifest-files.ts";

/** The parts of a layout that a removal touches. */
interface Place {
  readonly name: string;
  readonly indexFile: IndexFile;
  readonly blobs: BlobFolder;
  readonly links: LinksCache;
}

/** Removes a manifest, listed or not, with every tag it has. See OciLayout. */
export async function removeManifest(
  place: Place,
  digest: ContentDigest,
  options?: Abortable,
): Promise<boolean> {
  const isThere = async (index: LayoutIndex) =>
    findDigest(index, digest) !== undefined ||
    (await resolveUnlisted(place.blobs, digest)) !== undefined;
  return remove(place, { digest, isThere, signal: options?.signal });
}

/** Removes a blob that is no listed manifest. See OciLayout. */
export async function removeBlob(
  place: Place,
  digest: ContentDigest,
  options?: Abortable,
): Promise<boolean> {
  const isThere = async (index: LayoutIndex) => {
    if (findDigest(index, digest) !== undefined)
      throw stillNeeded(place, digest, "it is a manifest: delete it as one");
    return (await place.blobs.stat(digest)) !== undefined;
  };
  return remove(place, { digest, isThere, signal: options?.signal });
}

interface Removal extends Abortable {
  readonly digest: ContentDigest;
  /** Whether there is anything to remove. */
  readonly isThere: (index: LayoutIndex) => Promise<boolean>;
}

/** The file goes once no index.json lists it, and no other change comes in between. */
async function remove(place: Place, { digest, isThere, signal }: Removal): Promise<boolean> {
  const { indexFile, blobs } = place;
  const check = async (index: LayoutIndex) => {
    const found = await isThere(index);
    if (found) await checkUnneeded(place, digest, index);
    return found;
  };
  // Once before, so that what has to be read is not read while others wait.
  if (!(await check(await indexFile.read()))) return false;
  let found = false;
  const edit = async (index: LayoutIndex) => {
    found = await check(index);
    return found ? withoutManifest(index, digest) : index;
  };
  const afterwards = async () => {
    if (found) await blobs.remove(digest);
  };
  await indexFile.update(edit, { signal, afterwards });
  return found;
}

async function checkUnneeded(
  place: Place,
  digest: ContentDigest,
  index: LayoutIndex,
): Promise<void> {
  const holder = await findHolder(place.links, digest, listManifests(index));
  if (holder !== undefined)
    throw stillNeeded(place, digest, `manifest ${holder} needs it: delete that first`);
}

function stillNeeded({ name }: Place, digest: ContentDigest, why: string): ModelError {
  return new ModelError("REGISTRY_UNSUPPORTED", `${digest} stays in ${name}: ${why}`);
}
