import type { Bench } from "../bench.ts";
import type { Role } from "../results.ts";
import { startBenchRegistry } from "../servers/distribution.ts";
import { startEmbedded } from "../servers/embedded.ts";
import type { RunningServer } from "../servers/running-server.ts";

/** A registry that clients are measured against. */
interface Host {
  readonly name: string;
  readonly role: Role;
  start(bench: Bench, root: string, accessLog: string): Promise<RunningServer>;
}

/** Ours, and the reference registry. */
export const hosts: readonly Host[] = [
  {
    name: "our registry",
    role: "ours",
    start: (bench, root) => startEmbedded(bench.ballast, root),
  },
  {
    name: "distribution",
    role: "peer",
    start: (_, root, accessLog) => startBenchRegistry({ root, accessLog }),
  },
];
