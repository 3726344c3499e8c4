import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Certificates } from "../../support/certificates.ts";
import type { Bench } from "../bench.ts";
import type { Contestant } from "../measure/contestant.ts";
import { copyLinked } from "../models/linked-copy.ts";
import { expectContent, expectFiles, type ModelFiles } from "../models/model-files.ts";
import type { Run } from "../results.ts";
import { startBenchRegistry } from "../servers/distribution.ts";
import type { RunningServer } from "../servers/running-server.ts";
import { makeHome, type Player, players, repositoryOf, runUntimed } from "./peers.ts";

/** What is pushed, and where. */
export interface PushTarget {
  readonly model: ModelFiles;
  /** The model as an OCI layout folder, with the tag. */
  readonly layout: string;
  readonly tag: string;
  readonly certificates?: Certificates | undefined;
  /** The registry's folder before; copied for each run. Without it, an empty registry. */
  readonly state?: ((player: Player) => string) | undefined;
}

/** Ballast and its peers, each pushing to a registry of its own. */
export function pushContestants(
  bench: Bench,
  target: PushTarget,
  more: readonly Player[] = [],
): Contestant[] {
  return [...players(bench), ...more].map((player) => ({
    client: player.client.name,
    role: player.role,
    prepare: (folder) => preparePush(folder, player, bench, target),
  }));
}

async function preparePush(folder: string, player: Player, bench: Bench, target: PushTarget) {
  const { model, layout, tag, certificates, state } = target;
  const root = join(folder, "registry");
  if (state !== undefined) await copyLinked(state(player), root);
  const before = await blobBytes(root);
  const accessLog = join(folder, "access.log");
  const server = await startBenchRegistry({ root, certificates, accessLog });
  const name = `${repositoryOf(player)}:${tag}`;
  const home = await makeHome(folder);
  const job = { server, name, source: model.folder, layout, tag, home };
  return {
    command: await player.client.push(job),
    servers: [server],
    counted: server,
    finish: async (run: Run) => ({ ...run, movedBytes: (await blobBytes(root)) - before }),
    verify: () =>
      player.role === "ours"
        ? expectPull(folder, player, bench, { server, name, model })
        : expectContent(root, model, bench.signal),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** What Ballast pushed is sound when it can be pulled. */
async function expectPull(
  folder: string,
  { client }: Player,
  bench: Bench,
  pushed: { readonly server: RunningServer; readonly name: string; readonly model: ModelFiles },
): Promise<void> {
  const { server, name, model } = pushed;
  const output = join(folder, "pulled");
  const home = await makeHome(folder, "pull-home");
  const job = { server, name, output, home, files: model.files };
  const tree = await runUntimed(bench, await client.pull(job));
  await expectFiles(tree.trim(), model, bench.signal);
}

/** Bytes of the blobs that a folder of distribution holds. */
async function blobBytes(root: string): Promise<number> {
  const folder = join(root, "docker/registry/v2/blobs");
  const names = await readdir(folder, { recursive: true }).catch(() => []);
  const sizes = names
    .filter((name) => name.endsWith("/data"))
    .map(async (name) => (await stat(join(folder, name))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
