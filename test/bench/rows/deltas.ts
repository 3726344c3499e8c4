import { join } from "node:path";
import { type Bench, defineStage, type Row, roundOptions, type Stage } from "../bench.ts";
import { ballastClient } from "../clients/ballast.ts";
import { runRounds } from "../measure/rounds.ts";
import { makeBenchModel, makeTunedModel, type Tune } from "../models/bench-models.ts";
import { copyLinked } from "../models/linked-copy.ts";
import type { ModelFiles } from "../models/model-files.ts";
import { describeArtifact, seedRegistry, writeOciLayout } from "../models/oci-layout.ts";
import { removeFolder } from "../remove-folder.ts";
import type { Fact } from "../results.ts";
import { startBenchRegistry } from "../servers/distribution.ts";
import { makeHome, type Player, repositories, runUntimed } from "./peers.ts";
import { pullContestants } from "./pull-contestants.ts";
import { pushUntimed } from "./pull-scene.ts";
import { pushContestants } from "./push-contestants.ts";

/** Two versions of a model, and everybody's state after the first. */
interface DeltaScene extends AsyncDisposable {
  readonly original: ModelFiles;
  readonly tune: Tune;
  /** A folder in the workspace. */
  readonly inside: (name: string) => string;
}

const title = "a merged adapter (q_proj, v_proj of every layer)";

const deltaPush: Row<DeltaScene> = {
  id: "delta-push",
  title: `push of v2 where v1 is: ${title}`,
  measure: async ({ tune, inside }, bench) => {
    const target = {
      model: tune.model,
      layout: inside("layout-v2"),
      tag: "v2",
      state: ({ role }: Player) => inside(`registry-${role}`),
    };
    const entries = await runRounds(pushContestants(bench, target), roundOptions(bench));
    return { entries, facts: describeChange(tune) };
  },
};

const deltaPull: Row<DeltaScene> = {
  id: "delta-pull",
  title: `pull of v2 where v1 is: ${title}`,
  measure: async (scene, bench) => {
    const { tune, inside } = scene;
    await using cleanups = new AsyncDisposableStack();
    for (const name of ["registry-v2", "store-v1"])
      cleanups.defer(() => removeFolder(inside(name)));
    const server = cleanups.use(await startWithBoth(scene, bench));
    const state = ({ role }: Player) => inside(role === "ours" ? "store-v1" : "layout-v1");
    const target = { server, servers: [server], model: tune.model, tag: "v2", state };
    const entries = await runRounds(pullContestants(bench, target), roundOptions(bench));
    return { entries, facts: describeChange(tune) };
  },
};

/** Starts a registry that has both versions for everybody; Ballast's store then has the first. */
async function startWithBoth({ original, tune, inside }: DeltaScene, bench: Bench) {
  const root = inside("registry-v2");
  await copyLinked(inside("registry-ours"), root);
  for (const [tag, model] of [["v1", original] as const, ["v2", tune.model] as const])
    await seedRegistry(root, { repository: repositories.peer, tag }, describeArtifact(model));
  const home = inside("setup");
  const server = await startBenchRegistry({ root, accessLog: join(home, "v2.log") });
  await pushUntimed(bench, { server, model: tune.model, tag: "v2", home });
  const name = `${repositories.ours}:v1`;
  const job = { server, name, output: inside("store-v1"), home, files: original.files };
  await runUntimed(bench, await ballastClient(bench.ballast).pull(job));
  return server;
}

/** Pushes and pulls of a second version. */
export const deltaStage: Stage = defineStage({
  prepare: prepareDeltas,
  // Both versions, Ballast's artifacts, its store, and what is brought or checked.
  dataBytes: ({ bytes }) => 5.5 * bytes,
  rows: [deltaPush, deltaPull],
});

async function prepareDeltas(bench: Bench): Promise<DeltaScene> {
  const inside = (name: string) => join(bench.workspace.fast, name);
  await using cleanups = new AsyncDisposableStack();
  const names = ["v1", "v2", "layout-v1", "layout-v2", "registry-ours", "registry-peer", "setup"];
  for (const name of names) cleanups.defer(() => removeFolder(inside(name)));
  bench.print("preparing two versions of a model and a registry that has the first");
  const original = await makeBenchModel(bench, "shards", "v1");
  const tune = await makeTunedModel(bench, "shards", "v2");
  const artifact = describeArtifact(original);
  await writeOciLayout(inside("layout-v1"), artifact, "latest");
  await writeOciLayout(inside("layout-v2"), describeArtifact(tune.model), "v2");
  const name = { repository: repositories.peer, tag: "v1" };
  await seedRegistry(inside("registry-peer"), name, artifact);
  const home = await makeHome(bench.workspace.fast, "setup");
  {
    const accessLog = join(home, "v1.log");
    await using server = await startBenchRegistry({ root: inside("registry-ours"), accessLog });
    await pushUntimed(bench, { server, model: original, tag: "v1", home });
  }
  const owned = cleanups.move();
  return { original, tune, inside, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

function describeChange({ changedBytes, changedRuns }: Tune): Fact[] {
  return [
    { id: "changed-bytes", label: "bytes that differ", value: changedBytes, unit: "bytes" },
    { id: "changed-runs", label: "stretches they lie in", value: changedRuns, unit: "count" },
  ];
}
