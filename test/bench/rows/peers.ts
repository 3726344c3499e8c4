import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import { ballastClient } from "../clients/ballast.ts";
import type { Client } from "../clients/client.ts";
import { crane } from "../clients/crane.ts";
import { regctl } from "../clients/regctl.ts";
import { skopeo } from "../clients/skopeo.ts";
import { type Command, measureProcess } from "../measure/measured-process.ts";
import type { Role } from "../results.ts";

/** A client and how it takes part. */
export interface Player {
  readonly client: Client;
  readonly role: Role;
}

/** Repositories: Ballast's own artifact, and the same files as other programs know them. */
export const repositories = { ours: "bench/ballast", peer: "bench/files" } as const;

/** Ballast and its peers. */
export function players(bench: Bench): Player[] {
  const peers = [crane, regctl, skopeo].map((client) => ({ client, role: "peer" }) as const);
  return [{ client: ballastClient(bench.ballast), role: "ours" }, ...peers];
}

/** The repository that a player reads and writes. */
export function repositoryOf({ role }: Player): string {
  return role === "ours" ? repositories.ours : repositories.peer;
}

/** Runs a command that is not measured; resolves to its standard output. */
export async function runUntimed(bench: Bench, command: Command): Promise<string> {
  const folder = join(bench.workspace.fast, "untimed");
  await mkdir(folder, { recursive: true });
  return (await measureProcess(command, folder, bench.signal)).output;
}

/** An empty home in `folder`. */
export async function makeHome(folder: string, name = "home"): Promise<string> {
  const home = join(folder, name);
  await mkdir(home, { recursive: true });
  return home;
}
