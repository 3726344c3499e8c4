import { join } from "node:path";
import { defineStage, type Row, roundOptions, type Stage } from "../bench.ts";
import { ballastClient } from "../clients/ballast.ts";
import { makeCommand } from "../clients/client.ts";
import { crane } from "../clients/crane.ts";
import { regctl } from "../clients/regctl.ts";
import { skopeo } from "../clients/skopeo.ts";
import { checkout } from "../installed-ballast.ts";
import type { Contestant } from "../measure/contestant.ts";
import type { Command } from "../measure/measured-process.ts";
import { type RoundOptions, runRounds } from "../measure/rounds.ts";
import type { Role } from "../results.ts";
import { makeHome } from "./peers.ts";

/** Short runs are repeated more often. */
const leastRounds = 20;

const startup: Row<AsyncDisposable> = {
  id: "startup",
  title: "start of the command line",
  measure: async (_, bench) => {
    const { program, cache } = bench.ballast;
    const ours = (label: string, executable: string, env: Readonly<Record<string, string>>) =>
      contestant(label, "ours", (home) => makeCommand(executable, ["--help"], { home, env }));
    const installed = ballastClient(bench.ballast);
    const kept = { XDG_CACHE_HOME: cache };
    const contestants = [
      contestant("ballast --version", "ours", (home) => installed.version(home)),
      ours("ballast --help", program, kept),
      ours("ballast --help, the first time", program, {}),
      ours("ballast --help, from a checkout", join(checkout, "bin/ballast"), kept),
      ...[crane, regctl, skopeo].map((client) =>
        contestant(`${client.name} version`, "peer", (home) => client.version(home)),
      ),
    ];
    return { entries: await runRounds(contestants, manyRounds(roundOptions(bench), bench)) };
  },
};

const importLibrary: Row<AsyncDisposable> = {
  id: "import-library",
  title: "import of the library by a program",
  measure: async (_, bench) => {
    const folder = join(bench.ballast.program, "../..");
    const evaluate = (label: string, role: Role, script: string) =>
      contestant(label, role, async (home) => {
        const node = join(checkout, "node_modules/.bin/node");
        const args = ["--input-type=module", "--eval", script];
        return { ...(await makeCommand(node, args, { home })), cwd: folder };
      });
    const contestants = [
      evaluate("import ballast", "ours", 'await import("ballast")'),
      evaluate("node alone", "limit", ""),
    ];
    return { entries: await runRounds(contestants, manyRounds(roundOptions(bench), bench)) };
  },
};

/** How long it takes until Ballast does anything. */
export const startStage: Stage = defineStage({
  prepare: async () => new AsyncDisposableStack(),
  dataBytes: () => 0,
  rows: [startup, importLibrary],
});

function contestant(
  client: string,
  role: Role,
  command: (home: string) => Promise<Command>,
): Contestant {
  return {
    client,
    role,
    prepare: async (folder) => ({
      command: await command(await makeHome(folder)),
      servers: [],
      verify: async () => undefined,
    }),
  };
}

function manyRounds(options: RoundOptions, { settings }: { settings: { smoke: boolean } }) {
  const rounds = settings.smoke ? options.rounds : Math.max(options.rounds, leastRounds);
  return { ...options, rounds };
}
