import { join } from "node:path";
import { type Certificates, makeCertificates } from "../../support/certificates.ts";
import type { Bench } from "../bench.ts";
import { makeBenchModel, type Split } from "../models/bench-models.ts";
import type { ModelFiles } from "../models/model-files.ts";
import { describeArtifact, writeOciLayout } from "../models/oci-layout.ts";
import { removeFolder } from "../remove-folder.ts";
import { makeHome } from "./peers.ts";

/** A model that no registry has. */
export interface PushScene extends AsyncDisposable {
  readonly model: ModelFiles;
  readonly layout: string;
  readonly certificates: Certificates;
}

export const tag = "v1";

/** Makes the model and a certificate. */
export async function preparePushes(bench: Bench, split: Split): Promise<PushScene> {
  const inside = (name: string) => join(bench.workspace.fast, name);
  await using cleanups = new AsyncDisposableStack();
  for (const name of ["model", "layout", "setup"]) cleanups.defer(() => removeFolder(inside(name)));
  bench.print(`preparing a model in ${split}`);
  const model = await makeBenchModel(bench, split, "model");
  await writeOciLayout(inside("layout"), describeArtifact(model), tag);
  const certificates = await makeCertificates(await makeHome(inside("setup")));
  const owned = cleanups.move();
  const layout = inside("layout");
  return { model, layout, certificates, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
