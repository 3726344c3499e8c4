import type { Command } from "commander";
import type { Output } from "../output.ts";
import type { Terminal } from "../terminal.ts";
import { addCheck } from "./registry/check.ts";
import { addPrune } from "./registry/prune.ts";
import { addRemove } from "./registry/rm.ts";
import { addServe } from "./registry/serve.ts";

/** Adds `ballast registry`. */
export function addRegistry(program: Command, terminal: Terminal, output: Output): void {
  const registry = program
    .command("registry")
    .helpCommand(false)
    .summary("serve models from a folder; try and tidy registries")
    .description("The registry that comes with Ballast, and what registries hold.");
  addServe(registry, terminal, output);
  addCheck(registry, terminal, output);
  addRemove(registry, terminal, output);
  addPrune(registry, terminal, output);
}
