import { join } from "node:path";
import type { Bench } from "../bench.ts";
import type { Attempt, Contestant } from "../measure/contestant.ts";
import { expectContent, expectFiles } from "../models/model-files.ts";
import type { RunningServer } from "../servers/running-server.ts";
import { makeHome, type Player, repositoryOf, runUntimed } from "./peers.ts";
import { hosts } from "./registry-hosts.ts";
import { type RegistryScene, tag } from "./registry-scene.ts";

/** One client that pushes to each registry, which is empty each time. */
export function pushesTo(bench: Bench, scene: RegistryScene, player: Player): Contestant[] {
  return hosts.map((host) => ({
    client: `${player.client.name}, ${host.name}`,
    role: host.role,
    prepare: async (folder) => {
      const { model, layout } = scene;
      const server = await host.start(bench, join(folder, "registry"), join(folder, "log"));
      const name = `${repositoryOf(player)}:${tag}`;
      const home = await makeHome(folder);
      const job = { server, name, source: model.folder, layout, tag, home };
      return {
        command: await player.client.push(job),
        servers: [server],
        verify: () => expectPull(folder, { bench, scene, player, server }),
        [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
      };
    },
  }));
}

/** One client that pulls from each registry. */
export function pullsFrom(bench: Bench, scene: RegistryScene, player: Player): Contestant[] {
  return hosts.map((host) => ({
    client: `${player.client.name}, ${host.name}`,
    role: host.role,
    prepare: async (folder): Promise<Attempt> => {
      const { model } = scene;
      const server = scene.servers.get(host.name);
      if (server === undefined) throw new Error(`${host.name} does not run`);
      const output = join(folder, "output");
      const name = `${repositoryOf(player)}:${tag}`;
      const job = { server, name, output, home: await makeHome(folder), files: model.files };
      return {
        command: await player.client.pull(job),
        servers: [server],
        verify: (printed) => expectModel(output, printed, { bench, scene, player }),
      };
    },
  }));
}

interface Checked {
  readonly bench: Bench;
  readonly scene: RegistryScene;
  readonly player: Player;
}

/** What was pushed is sound when the same client can pull it. */
async function expectPull(
  folder: string,
  { server, ...checked }: Checked & { readonly server: RunningServer },
): Promise<void> {
  const { bench, scene, player } = checked;
  const output = join(folder, "pulled");
  const home = await makeHome(folder, "pull-home");
  const name = `${repositoryOf(player)}:${tag}`;
  const job = { server, name, output, home, files: scene.model.files };
  await expectModel(output, await runUntimed(bench, await player.client.pull(job)), checked);
}

/** Ballast prints where it put the files; others leave an OCI layout. */
async function expectModel(
  output: string,
  printed: string,
  { bench, scene, player }: Checked,
): Promise<void> {
  if (player.role === "ours") await expectFiles(printed.trim(), scene.model, bench.signal);
  else await expectContent(output, scene.model, bench.signal);
}
