import { access } from "node:fs/promises";
import { systemCode } from "./errors.ts";

/** For `.catch`: undefined when a path does not exist; every other failure goes on. */
export function undefinedIfMissing(error: unknown): undefined {
  const code = systemCode(error);
  if (code !== "ENOENT" && code !== "ENOTDIR") throw error;
  return undefined;
}

/** Tells whether there is something at `path`. Rejects when that cannot be known. */
export async function pathExists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    (error: unknown) => undefinedIfMissing(error) ?? false,
  );
}
