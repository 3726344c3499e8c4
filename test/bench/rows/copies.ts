import { join } from "node:path";
import { type Bench, defineStage, type Row, roundOptions, type Stage } from "../bench.ts";
import { ballastCopier } from "../clients/ballast.ts";
import type { Copier } from "../clients/client.ts";
import { craneCopier } from "../clients/crane.ts";
import { regctlCopier } from "../clients/regctl.ts";
import type { Contestant } from "../measure/contestant.ts";
import { runRounds } from "../measure/rounds.ts";
import { makeBenchModel } from "../models/bench-models.ts";
import { copyLinked } from "../models/linked-copy.ts";
import { expectContent, type ModelFiles } from "../models/model-files.ts";
import { describeArtifact, seedRegistry } from "../models/oci-layout.ts";
import { removeFolder } from "../remove-folder.ts";
import type { Role } from "../results.ts";
import { startBenchRegistry } from "../servers/distribution.ts";
import type { RunningServer } from "../servers/running-server.ts";
import { makeHome } from "./peers.ts";

const repository = "bench/files";
const tag = "v1";

/** A registry with a model. */
interface CopyScene extends AsyncDisposable {
  readonly model: ModelFiles;
  /** Its folder, which is also what a target has that has everything. */
  readonly root: string;
  readonly server: RunningServer;
}

/** Copies of a model from one registry to another. */
export const copyStage: Stage = defineStage({
  prepare,
  // The model, the source's copy of it and the target's.
  dataBytes: ({ bytes }) => 3.1 * bytes,
  rows: [
    copyRow({ id: "copy", title: "copy between registries, all new, 4 shards" }),
    copyRow({
      id: "copy-again",
      title: "copy between registries, everything is there",
      isThere: true,
    }),
  ],
});

async function prepare(bench: Bench): Promise<CopyScene> {
  const inside = (name: string) => join(bench.workspace.fast, name);
  await using cleanups = new AsyncDisposableStack();
  for (const name of ["model", "registry", "setup"])
    cleanups.defer(() => removeFolder(inside(name)));
  bench.print("preparing a model in shards and its registry");
  const model = await makeBenchModel(bench, "shards", "model");
  const root = inside("registry");
  await seedRegistry(root, { repository, tag }, describeArtifact(model));
  const accessLog = join(await makeHome(inside("setup")), "source.log");
  const server = cleanups.use(await startBenchRegistry({ root, accessLog }));
  const owned = cleanups.move();
  return { model, root, server, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function copyRow(head: {
  readonly id: string;
  readonly title: string;
  readonly isThere?: boolean;
}): Row<CopyScene> {
  const { isThere = false, ...names } = head;
  return {
    ...names,
    measure: async (scene, bench) => {
      const ours: [Copier, Role] = [ballastCopier(bench.ballast), "ours"];
      const all: [Copier, Role][] = [ours, [craneCopier, "peer"], [regctlCopier, "peer"]];
      const contestants = all.map(([copier, role]): Contestant => {
        return {
          client: copier.name,
          role,
          prepare: (folder) => prepareCopy(folder, copier, { scene, bench, isThere }),
        };
      });
      const entries = await runRounds(contestants, roundOptions(bench));
      return {
        ...(isThere ? {} : { workBytes: scene.model.bytes }),
        entries,
        notes: ["All three copy the same artifact; Ballast also asks for what refers to it."],
      };
    },
  };
}

async function prepareCopy(
  folder: string,
  copier: Copier,
  {
    scene,
    bench,
    isThere,
  }: { readonly scene: CopyScene; readonly bench: Bench; readonly isThere: boolean },
) {
  const root = join(folder, "registry");
  if (isThere) await copyLinked(scene.root, root);
  const to = await startBenchRegistry({ root, accessLog: join(folder, "access.log") });
  const home = await makeHome(folder);
  const name = `${repository}:${tag}`;
  return {
    command: await copier.copy({ from: scene.server, to, name, home }),
    servers: [scene.server, to],
    counted: to,
    verify: () => expectContent(root, scene.model, bench.signal),
    [Symbol.asyncDispose]: () => to[Symbol.asyncDispose](),
  };
}
