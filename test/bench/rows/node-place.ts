import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import type { KubeletOptions, PodVolume } from "../../support/kubelet.ts";
import { type NodeScene, openNodeScene } from "../../support/node-scene.ts";
import type { Bench } from "../bench.ts";
import { makeBenchModel } from "../models/bench-models.ts";
import type { ModelFiles } from "../models/model-files.ts";
import { removeFolder } from "../remove-folder.ts";
import { startBenchRegistry } from "../servers/distribution.ts";
import type { RunningServer } from "../servers/running-server.ts";
import { makeHome, repositories } from "./peers.ts";
import { pushUntimed } from "./pull-scene.ts";

const tag = "v1";
const nodeFolder = "node";

/** A model in a registry, for nodes to bring. */
export interface NodePlace extends AsyncDisposable {
  /** What was pushed; its folder is gone. */
  readonly model: ModelFiles;
  readonly registry: RunningServer;
  /** By its tag. */
  readonly reference: string;
}

/** Pushes the model of the bench. */
export async function prepareNodePlace(bench: Bench): Promise<NodePlace> {
  const inside = (name: string) => join(bench.workspace.fast, name);
  await using cleanups = new AsyncDisposableStack();
  for (const name of ["model", "registry", "setup", nodeFolder])
    cleanups.defer(() => removeFolder(inside(name)));
  bench.print("preparing a model in shards and its registry");
  const model = await makeBenchModel(bench, "shards", "model");
  const home = await makeHome(inside("setup"));
  const accessLog = join(home, "access.log");
  const registry = cleanups.use(await startBenchRegistry({ root: inside("registry"), accessLog }));
  await pushUntimed(bench, { server: registry, model, tag, home });
  await removeFolder(model.folder);
  const owned = cleanups.move();
  const reference = `${registry.host}/${repositories.ours}:${tag}`;
  return { model, registry, reference, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/**
 * Starts a fresh node in the workspace: agent (its own user, no rights) and plugin as npm installs
 * them, each a process, and a stand-in kubelet in this one. One at a time.
 */
export async function openBenchNode(bench: Bench, kubelet?: KubeletOptions): Promise<NodeScene> {
  const { workspace, ballast } = bench;
  const folder = join(workspace.fast, nodeFolder);
  await removeFolder(folder);
  await mkdir(folder);
  const programs = { ballast: ballast.program, plugin: join(ballast.program, "../ballast-csi") };
  return openNodeScene({ folder, programs, kubelet });
}

/** Mounts a model for a new pod, as the kubelet does. Rejects with what its last call said. */
export async function startPod(node: NodeScene, reference: string): Promise<PodVolume> {
  const volume = node.volume(reference);
  const last = (await node.kubelet.mount(volume)).at(-1);
  if (last?.code !== status.OK) throw new Error(`a pod did not start: ${last?.message}`);
  return volume;
}
