import { push } from "../../src/model/push.ts";
import { createCrashFolder } from "./crash-folder.ts";
import { expectWholeTags, missingLayers, pushedTag, setPushStage } from "./crash-push.ts";
import type { CrashScene } from "./crash-sweep.ts";
import { traceBallast } from "./crash-tracer.ts";
import { makeFolder } from "./store-folders.ts";

/** `ballast push` into a layout folder. */
export async function openLayoutPushScene(
  over: "nothing" | "the version before",
): Promise<CrashScene> {
  await using resources = new AsyncDisposableStack();
  const { path: place } = resources.use(await makeFolder());
  const stage = await setPushStage(place, over);
  const { source } = stage;
  const referenceTo = (layout: string) => `oci:${layout}:${pushedTag}`;
  const folder = await createCrashFolder({
    ...stage,
    place,
    inspect: expectWholeTags,
    repeat: async (layout) => (await push({ source, reference: referenceTo(layout) })).bytes.moved,
    missingBytes: (layout) => missingLayers(layout, stage),
  });
  const { home, root } = folder;
  const args = ["push", "--quiet", source, referenceTo(root)];
  const owned = resources.move();
  return {
    ...folder,
    run: (at) => traceBallast({ args, home, root, at }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
