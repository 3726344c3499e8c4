import { defineStage, type Row, roundOptions, type Stage } from "../bench.ts";
import { downloadWithAria2c } from "../clients/aria2c.ts";
import { runRounds } from "../measure/rounds.ts";
import { nameSplit, type Split } from "../models/bench-models.ts";
import type { RunningServer } from "../servers/running-server.ts";
import { repositories } from "./peers.ts";
import { preparePull, pullContestants } from "./pull-contestants.ts";
import { pullPresent } from "./pull-present.ts";
import { pullPresentLibrary } from "./pull-present-library.ts";
import { type PullScene, preparePulls, tag } from "./pull-scene.ts";

/** How a registry is reached. */
interface Route {
  readonly id: string;
  readonly title: string;
  server(scene: PullScene): RunningServer;
  /** Of whom CPU time is counted. */
  servers(scene: PullScene): RunningServer[];
  /** More to compare with. */
  limits(scene: PullScene): { readonly client: string; readonly server: RunningServer }[];
}

const routes: readonly Route[] = [
  {
    id: "pull-plain",
    title: "cold pull, plain HTTP",
    server: ({ plain }) => plain,
    servers: ({ plain }) => [plain],
    limits: ({ plain }) => [{ client: "aria2c", server: plain }],
  },
  {
    id: "pull-tls",
    title: "cold pull, TLS",
    server: ({ tls }) => tls,
    servers: ({ tls }) => [tls],
    limits: ({ tls }) => [{ client: "aria2c", server: tls }],
  },
  {
    id: "pull-capped",
    title: "cold pull, 50 MiB/s for each connection",
    server: ({ nginx }) => nginx.capped,
    servers: ({ nginx, plain }) => [nginx.capped, plain],
    limits: ({ nginx }) => [
      { client: "aria2c", server: nginx.capped },
      { client: "aria2c, no cap", server: nginx.uncapped },
    ],
  },
];

/** Cold pulls of a model that is split like this; of shards also a pull of what is there. */
export function pullStage(split: Split): Stage {
  const rows = routes.map((route) => pullRow(route, split));
  return defineStage({
    prepare: (bench) => preparePulls(bench, split),
    // The model (which is the peers' artifact too), Ballast's artifact, and what is pulled.
    dataBytes: ({ bytes }) => 3.2 * bytes,
    rows: split === "shards" ? [...rows, pullPresent, pullPresentLibrary] : rows,
  });
}

function pullRow(route: Route, split: Split): Row<PullScene> {
  return {
    id: split === "shards" ? route.id : `${route.id}-one-file`,
    title: `${route.title}, ${nameSplit(split)}`,
    measure: async (scene, bench) => {
      const servers = route.servers(scene);
      const target = { server: route.server(scene), servers, model: scene.model, tag };
      const limits = route.limits(scene).map(({ client, server }) => ({
        client,
        role: "limit" as const,
        prepare: (folder: string) =>
          preparePull(
            folder,
            { ...target, server },
            { bench, repository: repositories.peer, pull: downloadWithAria2c },
          ),
      }));
      const contestants = [...pullContestants(bench, target), ...limits];
      const entries = await runRounds(contestants, roundOptions(bench));
      return { workBytes: scene.model.bytes, entries };
    },
  };
}
