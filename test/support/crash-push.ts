import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { parseChunkIndex } from "../../src/core/chunk-index.ts";
import type { Digest } from "../../src/core/digest.ts";
import { push } from "../../src/model/push.ts";
import { parseManifestLinks } from "../../src/oci/layout/manifest-links.ts";
import { openLayout } from "../../src/oci/layout/open-layout.ts";
import { copyFolder } from "./crash-folder.ts";
import { writeCrashModel, writeNextCrashModel } from "./crash-models.ts";
import { describeState, type FolderState } from "./crash-state.ts";

/** What a killed push is compared with. */
export interface PushStage {
  /** The folder that is pushed. */
  readonly source: string;
  /** A layout that has the version before under the tag; undefined when the push makes the layout. */
  readonly prepared: string | undefined;
  readonly whole: FolderState;
  readonly between: readonly FolderState[];
  /** The layers of what is pushed, with their sizes. */
  readonly layers: ReadonlyMap<Digest, number>;
}

/** The tag that is pushed. */
export const pushedTag = "main";

/** Pushes without a kill, into layouts in `place`. */
export async function setPushStage(
  place: string,
  over: "nothing" | "the version before",
): Promise<PushStage> {
  const inside = (name: string) => join(place, name);
  const pushTo = (source: string, layout: string) =>
    push({ source, reference: `oci:${layout}:${pushedTag}` });
  await writeNextCrashModel(inside("v2"));
  if (over !== "nothing") {
    await writeCrashModel(inside("v1"));
    await pushTo(inside("v1"), inside("prepared"));
    await copyFolder(inside("prepared"), inside("clean"));
  }
  const { indexDigest } = await pushTo(inside("v2"), inside("clean"));
  await using _empty = await openLayout(inside("empty"), { create: true });
  const index = await readFile(join(inside("clean"), "blobs", indexDigest.replace(":", "/")));
  const { layers } = parseChunkIndex(index, "the index");
  return {
    source: inside("v2"),
    prepared: over === "nothing" ? undefined : inside("prepared"),
    whole: await describeState(inside("clean")),
    between: [await describeState(inside("empty"))],
    layers: new Map(layers.map(({ digest, size }) => [digest, size])),
  };
}

/** Bytes of the layers that a layout does not have. */
export async function missingLayers(layout: string, { layers }: PushStage): Promise<number> {
  let missing = 0;
  for (const [digest, size] of layers) {
    const found = await stat(join(layout, "blobs", digest.replace(":", "/"))).catch(
      () => undefined,
    );
    if (found === undefined) missing += size;
  }
  return missing;
}

/** Reads every tag of a layout and what its manifest names; throws where something is not there. */
export async function expectWholeTags(folder: string): Promise<void> {
  const marker = await stat(join(folder, "oci-layout")).catch(() => undefined);
  if (marker === undefined) return;
  await using layout = await openLayout(folder);
  for (const tag of await layout.listTags()) {
    const { bytes } = await layout.fetchManifest(tag);
    for (const { digest, size } of parseManifestLinks(bytes, tag).required)
      if ((await layout.statBlob(digest)) !== size) throw new Error(`${tag} names ${digest}`);
  }
}
