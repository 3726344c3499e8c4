import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import { makeBenchModel } from "../models/bench-models.ts";
import type { ModelFiles } from "../models/model-files.ts";
import { describeArtifact, seedRegistry, writeOciLayout } from "../models/oci-layout.ts";
import { removeFolder } from "../remove-folder.ts";
import type { RunningServer } from "../servers/running-server.ts";
import { makeHome, repositories } from "./peers.ts";
import { pushUntimed } from "./pull-scene.ts";
import { hosts } from "./registry-hosts.ts";

/** A model, and registries of both kinds that have it for Ballast and for its peers. */
export interface RegistryScene extends AsyncDisposable {
  readonly model: ModelFiles;
  readonly layout: string;
  /** By the name of their kind. */
  readonly servers: ReadonlyMap<string, RunningServer>;
}

export const tag = "v1";

/** Makes the model and starts the registries that are pulled from. */
export async function prepareRegistries(bench: Bench): Promise<RegistryScene> {
  const inside = (name: string) => join(bench.workspace.fast, name);
  const layout = inside("layout");
  await using cleanups = new AsyncDisposableStack();
  for (const name of ["model", "layout", "setup", "registries"])
    cleanups.defer(() => removeFolder(inside(name)));
  bench.print("preparing a model and two registries that have it");
  const model = await makeBenchModel(bench, "shards", "model");
  const artifact = describeArtifact(model);
  await writeOciLayout(layout, artifact, tag);
  const home = await makeHome(inside("setup"));
  const servers = new Map<string, RunningServer>();
  for (const host of hosts) {
    const root = join(inside("registries"), host.role);
    await mkdir(root, { recursive: true });
    // A repository of ours is a layout, "/" being "+".
    if (host.role === "ours")
      await writeOciLayout(join(root, repositories.peer.replaceAll("/", "+")), artifact, tag);
    else await seedRegistry(root, { repository: repositories.peer, tag }, artifact);
    const server = cleanups.use(await host.start(bench, root, join(home, `${host.role}.log`)));
    await pushUntimed(bench, { server, model, tag, home });
    servers.set(host.name, server);
  }
  const owned = cleanups.move();
  return { model, layout, servers, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
