import { join } from "node:path";
import { type Row, roundOptions } from "../bench.ts";
import { ballastClient } from "../clients/ballast.ts";
import { runRounds } from "../measure/rounds.ts";
import { describeArtifact, writeOciLayout } from "../models/oci-layout.ts";
import { removeFolder } from "../remove-folder.ts";
import { makeHome, repositories, runUntimed } from "./peers.ts";
import { pullContestants } from "./pull-contestants.ts";
import { type PullScene, tag } from "./pull-scene.ts";

/** Short runs are repeated more often. */
const leastRounds = 10;

/** What a pull costs that has nothing to bring. */
export const pullPresent: Row<PullScene> = {
  id: "pull-present",
  title: "pull of a model that is there, the whole process",
  measure: async (scene, bench) => {
    const { model, plain } = scene;
    const states = join(bench.workspace.fast, "present");
    await using cleanups = new AsyncDisposableStack();
    cleanups.defer(() => removeFolder(states));
    const home = await makeHome(states);
    const [store, layout] = [join(states, "store"), join(states, "layout")];
    const name = `${repositories.ours}:${tag}`;
    const job = { server: plain, name, output: store, home, files: model.files };
    await runUntimed(bench, await ballastClient(bench.ballast).pull(job));
    await writeOciLayout(layout, describeArtifact(model), "latest");
    const contestants = pullContestants(bench, {
      server: plain,
      servers: [plain],
      model,
      tag,
      state: ({ role }) => (role === "ours" ? store : layout),
    });
    const options = roundOptions(bench);
    const rounds = bench.settings.smoke ? options.rounds : Math.max(options.rounds, leastRounds);
    return { entries: await runRounds(contestants, { ...options, rounds }) };
  },
};
