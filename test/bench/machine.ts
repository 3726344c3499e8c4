import { execFile } from "node:child_process";
import { availableParallelism, cpus, release, totalmem } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { isInstalled, toolPath, toolsDirectory } from "../support/programs.ts";
import { type ToolName, tools } from "../tools/catalog.ts";
import { checkout } from "./installed-ballast.ts";
import type { Machine } from "./results.ts";

const run = promisify(execFile);

/** The programs a run needs; `mkfs.btrfs` only for sizes that no memory holds. */
const neededTools: readonly ToolName[] = [
  "registry",
  "crane",
  "regctl",
  "skopeo",
  "aria2c",
  "nginx",
];

/** Installs what is missing, and tells; rejects with what `test/tools/install.ts` says. */
export async function installTools(huge: boolean, print: (line: string) => void): Promise<void> {
  const names: readonly ToolName[] = huge ? [...neededTools, "mkfs.btrfs"] : neededTools;
  const missing = names.filter((name) => !isInstalled(name));
  if (missing.length === 0) return;
  print(`installing ${missing.join(", ")} into ${toolsDirectory()}`);
  await run(process.execPath, [join(checkout, "test/tools/install.ts"), ...missing]);
}

/** Describes this machine and the programs on it. */
export async function describeMachine(filesystem: string, ballast: string): Promise<Machine> {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    kernel: release(),
    filesystem,
    versions: {
      ballast: `${await versionOf(ballast)}${await revision()}`,
      node: process.version,
      distribution: tools.registry.version,
      crane: tools.crane.version,
      regctl: tools.regctl.version,
      skopeo: await versionOf(toolPath("skopeo")),
      aria2c: await versionOf(toolPath("aria2c")),
      nginx: await versionOf(toolPath("nginx"), "-v"),
    },
  };
}

/** The first number with dots in what a program says of itself. */
async function versionOf(program: string, flag = "--version"): Promise<string> {
  const { stdout, stderr } = await run(program, [flag]);
  return /\d+(?:\.\d+)+/.exec(stdout || stderr)?.[0] ?? "unknown";
}

/** The commit that this checkout is at, where git knows, and whether its sources differ from it. */
async function revision(): Promise<string> {
  // An unpacked archive has no history, and git may refuse one that somebody else owns.
  const git = async (...args: string[]) =>
    (await run("git", args, { cwd: checkout }).catch(() => undefined))?.stdout.trim();
  const commit = await git("rev-parse", "--short", "HEAD");
  if (commit === undefined) return "";
  const changes = await git("status", "--porcelain", "--", "src", "bin");
  return changes === "" ? ` (${commit})` : ` (${commit} and changes)`;
}
