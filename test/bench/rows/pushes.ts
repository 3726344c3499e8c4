import { defineStage, type Row, roundOptions, type Stage } from "../bench.ts";
import { regctlFromFiles } from "../clients/regctl.ts";
import { runRounds } from "../measure/rounds.ts";
import { nameSplit, type Split } from "../models/bench-models.ts";
import { pushContestants } from "./push-contestants.ts";
import { type PushScene, preparePushes, tag } from "./push-scene.ts";
import { pushTempDisk } from "./push-temp-disk.ts";

/** Pushes of a model to an empty registry. */
export function pushStage(split: Split): Stage {
  const push = pushRow({ id: split === "shards" ? "push" : "push-one-file", tls: false }, split);
  const more = [pushRow({ id: "push-tls", tls: true }, split), pushTempDisk];
  return defineStage({
    prepare: (bench) => preparePushes(bench, split),
    // The model, what the registry holds, and what is pulled back to check it.
    dataBytes: ({ bytes }) => 3.2 * bytes,
    rows: split === "shards" ? [push, ...more] : [push],
  });
}

function pushRow(
  { id, tls }: { readonly id: string; readonly tls: boolean },
  split: Split,
): Row<PushScene> {
  return {
    id,
    title: `push, all new, ${tls ? "TLS" : "plain HTTP"}, ${nameSplit(split)}`,
    measure: async ({ model, layout, certificates }, bench) => {
      const target = { model, layout, tag, certificates: tls ? certificates : undefined };
      const fromFiles = { client: regctlFromFiles, role: "peer" } as const;
      const contestants = pushContestants(bench, target, [fromFiles]);
      const entries = await runRounds(contestants, roundOptions(bench));
      return {
        workBytes: model.bytes,
        entries,
        notes: [
          "Ballast starts from the files, which it cuts and hashes, as does `regctl artifact put` (without cutting); the others start from an OCI layout, where all digests are known.",
        ],
      };
    },
  };
}
