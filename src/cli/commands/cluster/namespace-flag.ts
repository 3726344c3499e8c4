import type { Command } from "commander";
import { defaultNamespace } from "../../../kubernetes/names.ts";

export interface NamespaceFlag {
  readonly namespace: string;
}

/** Adds `--namespace`: that of Ballast. */
export function addNamespaceFlag(command: Command): Command {
  return command
    .optionsGroup("Cluster:")
    .option("--namespace <NAME>", "where Ballast is installed", defaultNamespace);
}
