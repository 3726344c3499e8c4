import { execFile } from "node:child_process";
import { cp, mkdir, symlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

/** Where this checkout lies. */
export const checkout: string = resolve(import.meta.dirname, "../..");

/**
 * Builds this checkout into `folder`, laid out as npm would install it: no sources, only dist. Resolves
 * to its executable.
 */
export async function installBallast(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const compiler = join(checkout, "node_modules/.bin/tsc");
  const args = ["-p", "tsconfig.build.json", "--outDir", join(folder, "dist")];
  try {
    await promisify(execFile)(compiler, args, { cwd: checkout });
  } catch (error) {
    const told = error instanceof Error && "stdout" in error ? String(error.stdout) : "";
    throw new Error(`this checkout does not build:\n${told}`, { cause: error });
  }
  for (const name of ["bin", "package.json"])
    await cp(join(checkout, name), join(folder, name), { recursive: true });
  await symlink(join(checkout, "node_modules"), join(folder, "node_modules"));
  return join(folder, "bin/ballast");
}
