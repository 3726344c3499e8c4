import { join } from "node:path";
import type { Bench } from "../bench.ts";
import type { PullJob } from "../clients/client.ts";
import type { Attempt, Contestant } from "../measure/contestant.ts";
import type { Command } from "../measure/measured-process.ts";
import { copyLinked } from "../models/linked-copy.ts";
import { expectContent, expectFiles, type ModelFiles } from "../models/model-files.ts";
import type { RunningServer } from "../servers/running-server.ts";
import { makeHome, type Player, players, repositoryOf } from "./peers.ts";

/** What is pulled and from where. */
export interface PullTarget {
  readonly server: RunningServer;
  readonly servers: readonly RunningServer[];
  readonly model: ModelFiles;
  readonly tag: string;
  /** What a player has before; copied for each run. Without it, nothing. */
  readonly state?: ((player: Player) => string) | undefined;
}

/** Ballast and its peers, each pulling into a place of its own. */
export function pullContestants(bench: Bench, target: PullTarget): Contestant[] {
  return players(bench).map((player) => ({
    client: player.client.name,
    role: player.role,
    prepare: async (folder) => {
      if (target.state !== undefined)
        await copyLinked(target.state(player), join(folder, "output"));
      const repository = repositoryOf(player);
      const pull = (job: PullJob) => player.client.pull(job);
      const attempt = await preparePull(folder, target, { bench, repository, pull });
      const { model } = target;
      return player.role === "ours"
        ? { ...attempt, verify: (output) => expectFiles(output.trim(), model, bench.signal) }
        : attempt;
    },
  }));
}

/** Makes one pull ready: `pull` says how, `repository` from where. */
export async function preparePull(
  folder: string,
  { server, servers, model, tag }: PullTarget,
  options: {
    readonly bench: Bench;
    readonly repository: string;
    readonly pull: (job: PullJob) => Promise<Command>;
  },
): Promise<Attempt> {
  const { bench, repository, pull } = options;
  const output = join(folder, "output");
  const home = await makeHome(folder);
  const name = `${repository}:${tag}`;
  return {
    command: await pull({ server, name, output, home, files: model.files }),
    servers,
    counted: server,
    verify: () => expectContent(output, model, bench.signal),
  };
}
