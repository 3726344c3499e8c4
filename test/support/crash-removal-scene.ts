import { join } from "node:path";
import { isModelError } from "../../src/core/errors.ts";
import { pull } from "../../src/model/pull.ts";
import { push } from "../../src/model/push.ts";
import { collectGarbage, removeModel } from "../../src/model/stored-models.ts";
import { copyFolder, createCrashFolder } from "./crash-folder.ts";
import { writeCrashModel, writeNextCrashModel } from "./crash-models.ts";
import { describeState } from "./crash-state.ts";
import type { CrashScene } from "./crash-sweep.ts";
import { traceBallast } from "./crash-tracer.ts";
import { makeFolder } from "./store-folders.ts";

/**
 * `ballast store rm` of one of two models that share files, or `ballast store gc` of both. What a
 * killed removal left is collected by the next.
 */
export async function openRemovalScene(command: "rm" | "gc"): Promise<CrashScene> {
  await using resources = new AsyncDisposableStack();
  const { path: place } = resources.use(await makeFolder());
  const inside = (name: string) => join(place, name);
  await writeCrashModel(inside("v1"));
  await writeNextCrashModel(inside("v2"));
  const models = [`oci:${inside("layout")}:v1`, `oci:${inside("layout")}:v2`] as const;
  for (const [at, reference] of models.entries()) {
    await push({ source: inside(`v${at + 1}`), reference });
    await pull({ reference, store: inside("prepared") });
  }
  const [model] = models;
  const repeat = async (store: string) => {
    if (command === "rm") await removeIfThere(store, model);
    await collectGarbage({ store, maxBytes: command === "gc" ? 0 : undefined });
    return 0;
  };
  await copyFolder(inside("prepared"), inside("clean"));
  await repeat(inside("clean"));
  const folder = await createCrashFolder({
    place,
    prepared: inside("prepared"),
    whole: await describeState(inside("clean")),
    repeat,
    missingBytes: () => Promise.resolve(0),
  });
  const { home, root } = folder;
  const what = command === "rm" ? ["rm", model] : ["gc", "--max-bytes", "0"];
  const args = ["store", ...what, "--quiet", "--store", root];
  const owned = resources.move();
  return {
    ...folder,
    run: (at) => traceBallast({ args, home, root, at }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A killed removal may have come as far as to forget the model. */
async function removeIfThere(store: string, model: string): Promise<void> {
  try {
    await removeModel({ store, model });
  } catch (error) {
    if (!isModelError(error, "NOT_FOUND")) throw error;
  }
}
