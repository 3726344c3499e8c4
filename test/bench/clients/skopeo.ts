import { toolPath } from "../../support/programs.ts";
import type { Command } from "../measure/measured-process.ts";
import type { RunningServer } from "../servers/running-server.ts";
import { type Client, makeCommand, trust } from "./client.ts";

/**
 * The containers project's command. Into `oci:` it moves layers side by side, into `dir:` one after
 * the other; without the flag it would compress them.
 */
export const skopeo: Client = {
  name: "skopeo",
  pull: ({ server, name, output, home }) => {
    const args = ["--dest-oci-accept-uncompressed-layers", ...plain("src", server)];
    return copy([...args, `docker://${server.host}/${name}`, `oci:${output}:latest`], server, home);
  },
  push: ({ server, name, layout, tag, home }) =>
    copy(
      [...plain("dest", server), `oci:${layout}:${tag}`, `docker://${server.host}/${name}`],
      server,
      home,
    ),
  version: (home) => makeCommand(toolPath("skopeo"), ["--version"], { home }),
};

function plain(side: "src" | "dest", { authorityFile }: RunningServer): string[] {
  return authorityFile === undefined ? [`--${side}-tls-verify=false`] : [];
}

function copy(args: readonly string[], server: RunningServer, home: string): Promise<Command> {
  const all = ["--insecure-policy", "copy", "--quiet", "--preserve-digests", ...args];
  return makeCommand(toolPath("skopeo"), all, { home, env: trust(server) });
}
