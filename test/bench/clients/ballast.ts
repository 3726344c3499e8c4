import type { RunningServer } from "../servers/running-server.ts";
import { type Client, type Copier, makeCommand } from "./client.ts";

/** The Ballast that is measured. */
export interface MeasuredBallast {
  /** Its executable. */
  readonly program: string;
  /** Where it keeps compiled code from one command to the next, as on any machine it is used on. */
  readonly cache: string;
}

/** Ballast as a peer of the others. */
export function ballastClient({ program, cache }: MeasuredBallast): Client {
  const env = { XDG_CACHE_HOME: cache };
  return {
    name: "ballast",
    pull: ({ server, name, output, home }) =>
      makeCommand(
        program,
        ["pull", `${server.host}/${name}`, "--store", output, ...reach(server)],
        { home, env },
      ),
    push: ({ server, name, source, home }) =>
      makeCommand(program, ["push", source, `${server.host}/${name}`, ...reach(server)], {
        home,
        env,
      }),
    version: (home) => makeCommand(program, ["--version"], { home, env }),
  };
}

/** Its copy, with referrers, which it asks for. */
export function ballastCopier({ program, cache }: MeasuredBallast): Copier {
  const env = { XDG_CACHE_HOME: cache };
  return {
    name: "ballast",
    copy: ({ from, to, name, home }) =>
      makeCommand(program, ["copy", `${from.host}/${name}`, `${to.host}/${name}`], { home, env }),
  };
}

/** Loopback hosts are taken for ones without TLS. */
function reach({ authorityFile }: RunningServer): string[] {
  return authorityFile === undefined ? [] : ["--no-plain-http", "--ca-file", authorityFile];
}
