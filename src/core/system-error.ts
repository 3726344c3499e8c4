import { ModelError, systemCode } from "./errors.ts";

/**
 * Turns a failure of the local filesystem into a ModelError: NO_SPACE when the disk or quota is
 * full, STORE_IO for the rest. What is no system error is returned as it is.
 */
export function describeSystemError(error: unknown): unknown {
  const code = systemCode(error);
  if (!(error instanceof Error) || code === undefined || error instanceof ModelError) return error;
  if (isFull(code))
    return new ModelError("NO_SPACE", `the disk is full: ${error.message}`, {
      hint: "free space and run the same command again: it continues where it stopped",
      cause: error,
    });
  const hints: Record<string, string> = {
    EACCES: "check who owns that path, or choose another place",
    EPERM: "check who owns that path, or choose another place",
    EROFS: "that filesystem is read-only: choose another place",
  };
  if (!/^E[A-Z0-9]+$/.test(code)) return error;
  return new ModelError("STORE_IO", `a local file could not be used: ${error.message}`, {
    hint: hints[code],
    cause: error,
  });
}

/**
 * Runs work on the disk; a system error becomes NO_SPACE or STORE_IO that says what was being done.
 * Other errors pass.
 */
export async function onDisk<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const code = systemCode(error);
    const fromSystem = error instanceof Error && "syscall" in error;
    if (!fromSystem || code === undefined) throw error;
    if (isFull(code))
      throw new ModelError("NO_SPACE", `${what}: the disk is full`, { cause: error });
    throw new ModelError("STORE_IO", `${what}: ${code}`, { cause: error });
  }
}

function isFull(code: string): boolean {
  return code === "ENOSPC" || code === "EDQUOT";
}
