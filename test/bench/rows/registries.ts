import { type Bench, defineStage, type Row, roundOptions, type Stage } from "../bench.ts";
import { ballastClient } from "../clients/ballast.ts";
import { crane } from "../clients/crane.ts";
import type { Contestant } from "../measure/contestant.ts";
import { runRounds } from "../measure/rounds.ts";
import type { Player } from "./peers.ts";
import { pullsFrom, pushesTo } from "./registry-contestants.ts";
import { prepareRegistries, type RegistryScene } from "./registry-scene.ts";

type Contest = (bench: Bench, scene: RegistryScene, player: Player) => Contestant[];

/** Our registry beside distribution, each with the same clients. */
export const registryStage: Stage = defineStage({
  prepare: prepareRegistries,
  // The model, which is the peers' artifact too, Ballast's artifact twice, and what moves.
  dataBytes: ({ bytes }) => 5.2 * bytes,
  rows: [
    registryRow("registry-push", "push by crane", withCrane, pushesTo),
    registryRow("registry-pull", "pull by crane", withCrane, pullsFrom),
    registryRow("registry-push-ballast", "push by Ballast", withBallast, pushesTo),
    registryRow("registry-pull-ballast", "pull by Ballast", withBallast, pullsFrom),
  ],
});

function registryRow(
  id: string,
  what: string,
  player: (bench: Bench) => Player,
  contest: Contest,
): Row<RegistryScene> {
  return {
    id,
    title: `${what}, plain HTTP, our registry beside distribution`,
    measure: async (scene, bench) => {
      const contestants = contest(bench, scene, player(bench));
      const entries = await runRounds(contestants, roundOptions(bench));
      return { workBytes: scene.model.bytes, entries };
    },
  };
}

function withCrane(): Player {
  return { client: crane, role: "peer" };
}

function withBallast(bench: Bench): Player {
  return { client: ballastClient(bench.ballast), role: "ours" };
}
