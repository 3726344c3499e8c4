import type { Command } from "commander";
import type { Output } from "../output.ts";
import type { Terminal } from "../terminal.ts";
import { addDoctor } from "./cluster/doctor.ts";
import { addExplain } from "./cluster/explain.ts";
import { addLocate } from "./cluster/locate.ts";
import { addTeardown } from "./cluster/teardown.ts";

/** Adds `ballast cluster` and its commands. */
export function addCluster(program: Command, terminal: Terminal, output: Output): void {
  const cluster = program
    .command("cluster")
    .summary("ask a Kubernetes cluster where models are, and what it lacks")
    .description("Asks a Kubernetes cluster, with your own rights. All but teardown only read.")
    .helpCommand(false);
  addLocate(cluster, terminal, output);
  addExplain(cluster, terminal, output);
  addDoctor(cluster, terminal, output);
  addTeardown(cluster, terminal, output);
}
