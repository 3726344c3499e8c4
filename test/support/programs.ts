import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { type ToolName, tools } from "../tools/catalog.ts";

const repository = resolve(import.meta.dirname, "../..");

/** Where `node test/tools/install.ts` puts programs: BALLAST_TOOLS_DIR, else `.cache/tools`. */
export function toolsDirectory(): string {
  return resolve(process.env["BALLAST_TOOLS_DIR"] || join(repository, ".cache/tools"));
}

/** The folder of one tool; it exists only when the install was complete. */
export function toolDirectory(name: ToolName): string {
  return join(toolsDirectory(), `${name}-${tools[name].version}`);
}

/** Tells whether a tool is installed. */
export function isInstalled(name: ToolName): boolean {
  return existsSync(join(toolDirectory(name), tools[name].path));
}

/** Path of an installed program or folder; throws with the install command when it is absent. */
export function toolPath(name: ToolName): string {
  if (!isInstalled(name)) throw new Error(absence([name]));
  return join(toolDirectory(name), tools[name].path);
}

/**
 * For `describe.skipIf(toolsMissing("crane"))`: true when one of `names` is not installed, with the
 * reason on standard error. With CI=true it throws instead, because CI installs every tool.
 */
export function toolsMissing(...names: readonly ToolName[]): boolean {
  const missing = names.filter((name) => !isInstalled(name));
  if (missing.length === 0) return false;
  if (process.env["CI"] === "true") throw new Error(absence(missing));
  process.stderr.write(`skipped: ${absence(missing)}\n`);
  return true;
}

function absence(names: readonly ToolName[]): string {
  const verb = names.length === 1 ? "is" : "are";
  const command = `node test/tools/install.ts ${names.join(" ")}`;
  return `${names.join(", ")} ${verb} not installed; run ${command}`;
}
