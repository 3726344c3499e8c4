import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { pathExists } from "./absence.ts";
import { ModelError, systemCode } from "./errors.ts";

const maxAttempts = 10;

/**
 * Makes a folder and its parents where missing. Rejects with the system's own reason, which Node's
 * recursive mkdir hides for read-only filesystems, or with STORE_IO when a file is in the way.
 */
export async function makeFolder(path: string, mode?: number): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await mkdir(path, { recursive: true, mode });
      return;
    } catch (error) {
      // Somebody removes it, empty, while we look at it.
      if (systemCode(error) !== "ENOENT" || attempt === maxAttempts)
        throw await findReason(path, error);
    }
  }
}

/** Tries the first folder that is missing alone. */
async function findReason(path: string, error: unknown): Promise<unknown> {
  const parent = dirname(path);
  if (parent !== path && !(await pathExists(parent))) return findReason(parent, error);
  const reason: unknown = await mkdir(path).catch((caught: unknown) => caught);
  const code = systemCode(reason);
  if (code !== "EEXIST" && code !== "ENOTDIR") return reason ?? error;
  return new ModelError("STORE_IO", `${code === "EEXIST" ? path : parent} is no folder`, {
    hint: "name another place, or move what is there away",
    cause: error,
  });
}
