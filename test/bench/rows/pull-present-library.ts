import { join } from "node:path";
import * as v from "valibot";
import type { Row } from "../bench.ts";
import { makeCommand } from "../clients/client.ts";
import { checkout } from "../installed-ballast.ts";
import { percentile } from "../measure/statistics.ts";
import { removeFolder } from "../remove-folder.ts";
import type { Fact } from "../results.ts";
import { makeHome, repositories, runUntimed } from "./peers.ts";
import { type PullScene, tag } from "./pull-scene.ts";

/** The first call brings the model, and loads what a call needs. */
const script = `
const { pull } = await import("ballast");
const [reference, store, calls] = process.argv.slice(1);
const seconds = [];
for (let call = 0; call <= Number(calls); call += 1) {
  const started = performance.now();
  const { bytes } = await pull({ reference, store });
  seconds.push((performance.now() - started) / 1000);
  if (call > 0 && bytes.moved > 0) throw new Error("the model was not there");
}
console.log(JSON.stringify(seconds.slice(1)));
`;

/** What a program pays that asks for its model each time. */
export const pullPresentLibrary: Row<PullScene> = {
  id: "pull-present-library",
  title: "pull of a model that is there, one call of a program that runs",
  measure: async ({ plain }, bench) => {
    const calls = bench.settings.smoke ? 3 : 50;
    const folder = join(bench.workspace.fast, "library");
    await using cleanups = new AsyncDisposableStack();
    cleanups.defer(() => removeFolder(folder));
    const home = await makeHome(folder);
    const reference = `${plain.host}/${repositories.ours}:${tag}`;
    const node = join(checkout, "node_modules/.bin/node");
    const args = [reference, join(folder, "store"), String(calls)];
    const command = {
      ...(await makeCommand(node, ["--input-type=module", "--eval", script, "--", ...args], {
        home,
      })),
      cwd: join(bench.ballast.program, "../.."),
    };
    const seconds = v.parse(v.array(v.number()), JSON.parse(await runUntimed(bench, command)));
    const fact = (id: string, label: string, share: number): Fact => {
      return { id, label, value: percentile(seconds, share), unit: "seconds" };
    };
    return {
      entries: [],
      facts: [
        { id: "calls", label: "calls, after a first", value: calls, unit: "count" },
        fact("p50", "p50", 0.5),
        fact("p90", "p90", 0.9),
      ],
    };
  },
};
