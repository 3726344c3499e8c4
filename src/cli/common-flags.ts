import { homedir } from "node:os";
import { isAbsolute, join, resolve } from "node:path";
import type { Command } from "commander";
import { collect } from "./flag-values.ts";
import type { Environment } from "./terminal.ts";

export interface OutputFlags {
  readonly json?: boolean | undefined;
  readonly quiet?: boolean | undefined;
}

export interface SelectionFlags {
  readonly include?: readonly string[] | undefined;
  readonly exclude?: readonly string[] | undefined;
}

/** Adds `--json`. */
export function addJsonFlag(command: Command): Command {
  return command
    .optionsGroup("Output:")
    .option("--json", "print one JSON document on standard output, also about a failure");
}

/** Adds `--quiet`. */
export function addQuietFlag(command: Command): Command {
  return command
    .optionsGroup("Output:")
    .option("-q, --quiet", "no progress and no notes on standard error; errors still");
}

/** Adds `--include` and `--exclude`. */
export function addSelectionFlags(command: Command): Command {
  return command
    .optionsGroup("Which files:")
    .option("--include <GLOB>", "only files that match; repeatable", collect)
    .option("--exclude <GLOB>", "no files that match; wins over --include; repeatable", collect);
}

/** Adds `--store`. */
export function addStoreFlag(command: Command, description: string): Command {
  return command.optionsGroup("Store:").option("--store <DIR>", description);
}

/** The store someone asked for by flag or BALLAST_STORE; undefined when nobody did. */
export function namedStore(flag: string | undefined, environment: Environment): string | undefined {
  const named = flag || environment["BALLAST_STORE"];
  return named ? resolve(named) : undefined;
}

/** The store: the named one, else `$XDG_CACHE_HOME/ballast`, else `~/.cache/ballast`. */
export function storeRoot(flag: string | undefined, environment: Environment): string {
  const cache = environment["XDG_CACHE_HOME"] ?? "";
  const home = environment["HOME"] || homedir();
  // The XDG specification: relative paths in these variables are to be ignored.
  const base = isAbsolute(cache) ? cache : join(home, ".cache");
  return namedStore(flag, environment) ?? join(base, "ballast");
}
