import { execFile } from "node:child_process";
import { cp, mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";

/** Where this checkout lies. */
export const checkout: string = resolve(import.meta.dirname, "../..");

/**
 * Builds this checkout into `folder`, laid out as npm would install it: no sources and no
 * packages, only dist. Resolves to its executable.
 */
export async function installBallast(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const bundler = join(checkout, "node_modules/.bin/rolldown");
  try {
    await promisify(execFile)(bundler, ["-c", "-d", join(folder, "dist")], { cwd: checkout });
  } catch (error) {
    const told = error instanceof Error && "stderr" in error ? String(error.stderr) : "";
    throw new Error(`this checkout does not build:\n${told}`, { cause: error });
  }
  for (const name of ["bin", "package.json"])
    await cp(join(checkout, name), join(folder, name), { recursive: true });
  return join(folder, "bin/ballast");
}
