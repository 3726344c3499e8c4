import { stat } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import type { IndexedFile } from "../../src/core/chunk-index.ts";
import type { Digest } from "../../src/core/digest.ts";
import { type PullResult, pull } from "../../src/model/pull.ts";
import { collectGarbage } from "../../src/model/stored-models.ts";
import { chunksInFolder, chunksInStore, missingBytes } from "./crash-chunks.ts";
import { copyFolder, createCrashFolder } from "./crash-folder.ts";
import { writeCrashModel, writeNextCrashModel } from "./crash-models.ts";
import { openLayoutOrigin, openRegistryOrigin } from "./crash-origin.ts";
import { describeState, type FolderState } from "./crash-state.ts";
import type { CrashScene } from "./crash-sweep.ts";
import { traceBallast } from "./crash-tracer.ts";
import { makeFolder } from "./store-folders.ts";
import { mebi } from "./workplace.ts";

/** Where a pull goes, by its flags. */
type PullTarget = "store" | "output";

export interface PullSceneOptions {
  readonly from: "a registry" | "a layout";
  readonly into: PullTarget;
  /** Whether the version before is there already, under the same tag. */
  readonly over: "nothing" | "the version before";
  /** Its steps count from the first on whose path has this in it. */
  readonly stepsFrom?: string | undefined;
}

/** `ballast pull`. */
export async function openPullScene(options: PullSceneOptions): Promise<CrashScene> {
  const { from, into, over, stepsFrom } = options;
  await using resources = new AsyncDisposableStack();
  const { path: place } = resources.use(await makeFolder());
  const open = from === "a layout" ? openLayoutOrigin : openRegistryOrigin;
  const origin = resources.use(await open(place));
  const { reference } = origin;
  const [prepared, clean] = [join(place, "prepared"), join(place, "clean")];
  const files: IndexedFile[] = [];
  if (over !== "nothing") {
    await writeCrashModel(join(place, "v1"));
    files.push(...(await origin.push(join(place, "v1"))));
    await bring(reference, into, prepared);
    await copyFolder(prepared, clean);
  }
  await writeNextCrashModel(join(place, "v2"));
  const wanted = await origin.push(join(place, "v2"));
  await bring(reference, into, clean);
  const folder = await createCrashFolder({
    place,
    prepared: over === "nothing" ? undefined : prepared,
    whole: await describeState(clean),
    between: into === "store" ? [] : [await workState(place, reference)],
    repeat: (root) => origin.count(() => bring(reference, into, root)),
    missingBytes: async (root) =>
      missingBytes(wanted, await chunksHere(root, into, [...files, ...wanted])),
  });
  const { home, root } = folder;
  const args = ["pull", "--quiet", reference, `--${into}`, root];
  const owned = resources.move();
  return {
    ...folder,
    run: (at) => traceBallast({ args, home, root, from: stepsFrom, at }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Pulls; a store must then have its reserve, and is swept, so that orphans show. */
async function bring(reference: string, into: PullTarget, place: string): Promise<PullResult> {
  const pulled = await pull({ reference, [into]: place });
  if (into === "output") return pulled;
  expect((await stat(join(place, "reserve"))).size).toBe(mebi);
  await collectGarbage({ store: place });
  return pulled;
}

/** What the store inside an output folder holds while a pull into it is under way. */
async function workState(place: string, reference: string): Promise<FolderState> {
  await bring(reference, "store", join(place, "work"));
  const state = await describeState(join(place, "work"));
  return new Map([...state].map(([path, what]) => [join(".ballast", path), what]));
}

async function chunksHere(
  root: string,
  into: PullTarget,
  files: readonly IndexedFile[],
): Promise<ReadonlySet<Digest>> {
  if (into === "store") return chunksInStore(root, files);
  const inWork = await chunksInStore(join(root, ".ballast"), files);
  return inWork.union(await chunksInFolder(root, files));
}
