/**
 * Installs the real programs that the end-to-end tests run against.
 *
 *     node test/tools/install.ts            # all of them
 *     node test/tools/install.ts crane jq   # some
 *
 * What is there already stays. A tool appears in one rename, after it answered, so an interrupted
 * run leaves nothing half installed; two runs at a time take turns.
 */
import { execFile, spawnSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { isInstalled, toolDirectory, toolsDirectory } from "../support/programs.ts";
import { isToolName, type Tool, type ToolName, toolNames, tools } from "./catalog.ts";
import { runRecipe } from "./recipes.ts";

const lockedVariable = "BALLAST_TOOLS_LOCKED";

const names = process.argv.slice(2);
const unknown = names.filter((name) => !isToolName(name));
if (unknown.length > 0) {
  console.error(`unknown: ${unknown.join(", ")}; there is ${toolNames.join(", ")}`);
  process.exit(2);
}
const wanted = names.length === 0 ? toolNames : names.filter(isToolName);
if (wanted.every(isInstalled) || process.env[lockedVariable] !== undefined) await install(wanted);
else process.exitCode = await runLocked();

/** Runs this script again while `flock` holds the lock; the kernel frees it however the run ends. */
async function runLocked(): Promise<number> {
  await mkdir(toolsDirectory(), { recursive: true });
  const again = [process.execPath, ...process.argv.slice(1)];
  const { status, error } = spawnSync("flock", [join(toolsDirectory(), "lock"), ...again], {
    stdio: "inherit",
    env: { ...process.env, [lockedVariable]: "1" },
  });
  if (error !== undefined) throw error;
  return status ?? 1;
}

async function install(wanted: readonly ToolName[]): Promise<void> {
  for (const name of wanted) {
    const started = performance.now();
    const found = isInstalled(name) ? undefined : await installTool(name);
    // Tests run some of them as other users.
    await chmod(toolDirectory(name), 0o755);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`${name} ${found ?? tools[name].version}: ${found ? `${seconds} s` : "present"}`);
  }
}

async function installTool(name: ToolName): Promise<string> {
  const tool: Tool = tools[name];
  const folder = toolDirectory(name);
  const scratch = await mkdtemp(join(toolsDirectory(), `${name}.partial-`));
  try {
    const found = await runRecipe(tool, scratch);
    if (tool.probe !== undefined)
      await promisify(execFile)(join(scratch, tool.path), [...tool.probe]);
    await rm(folder, { recursive: true, force: true });
    await rename(scratch, folder);
    return found;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
