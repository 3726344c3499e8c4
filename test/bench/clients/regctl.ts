import { readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toolPath } from "../../support/programs.ts";
import type { Command } from "../measure/measured-process.ts";
import type { RunningServer } from "../servers/running-server.ts";
import { type Client, type Copier, makeCommand, trust } from "./client.ts";

/** Blobs at a time; 3 by default. */
const concurrency = 8;

/**
 * regclient's command. `image copy` moves layers side by side, where `artifact get` goes one after
 * the other.
 */
export const regctl: Client = {
  name: "regctl",
  pull: ({ server, name, output, home }) =>
    copy(`${server.host}/${name}`, `ocidir://${output}:latest`, server, home),
  push: ({ server, name, layout, tag, home }) =>
    copy(`ocidir://${layout}:${tag}`, `${server.host}/${name}`, server, home),
  version: (home) => makeCommand(toolPath("regctl"), ["version"], { home }),
};

/** Its copy between registries. */
export const regctlCopier: Copier = {
  name: "regctl",
  copy: ({ from, to, name, home }) =>
    run(["image", "copy", `${from.host}/${name}`, `${to.host}/${name}`], [from, to], home),
};

/** The same, with a push of plain files: it hashes them first, then sends them, one after the other. */
export const regctlFromFiles: Client = {
  ...regctl,
  name: "regctl, from files",
  push: async ({ server, name, source, home }) => {
    const files = await readdir(source);
    const flags = files.flatMap((file) => [
      "--file",
      join(source, file),
      "--file-media-type=application/octet-stream",
    ]);
    const type = "--artifact-type=application/vnd.example.model";
    const args = ["artifact", "put", type, ...flags, `${server.host}/${name}`];
    return run(args, [server], home);
  },
};

function copy(from: string, to: string, server: RunningServer, home: string): Promise<Command> {
  return run(["image", "copy", from, to], [server], home);
}

async function run(
  args: readonly string[],
  servers: readonly [RunningServer, ...RunningServer[]],
  home: string,
): Promise<Command> {
  const settings = servers.map(({ host, authorityFile }) => [
    host,
    {
      hostname: host,
      tls: authorityFile === undefined ? "disabled" : "enabled",
      reqConcurrent: concurrency,
      // One PUT for each blob, however large.
      blobMax: -1,
    },
  ]);
  const config = join(home, "regctl.json");
  await writeFile(config, JSON.stringify({ hosts: Object.fromEntries(settings) }));
  return makeCommand(toolPath("regctl"), args, {
    home,
    env: { REGCTL_CONFIG: config, ...trust(servers[0]) },
  });
}
