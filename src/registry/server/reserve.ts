import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import { isModelError, systemCode } from "../../core/errors.ts";

/** As much as an index.json of a few thousand manifests. */
const reserveBytes = 1_048_576;

/** Room on the registry's disk that is kept for deletes, which have to write to make room. */
export interface Reserve extends AsyncDisposable {
  /** Runs a delete, on a full disk with the reserve given up. */
  use(work: () => Promise<void>): Promise<void>;
}

/** Keeps it in a file of the folder, where there is room for that, until it is disposed. */
export async function openReserve(root: string): Promise<Reserve> {
  // No repository's name begins with a dot.
  const path = join(root, ".reserve");
  let isThere = await fill(path);
  return {
    use: async (work) => {
      try {
        await work();
      } catch (error) {
        if (!isThere || !isModelError(error, "NO_SPACE")) throw error;
        isThere = false;
        await rm(path, { force: true });
        await work();
      }
      isThere ||= await fill(path);
    },
    [Symbol.asyncDispose]: async () => {
      if (isThere) await rm(path, { force: true });
    },
  };
}

/** False where there is no room, or nobody may write. */
async function fill(path: string): Promise<boolean> {
  try {
    await using file = await open(path, "w", 0o644);
    await file.writeFile(Buffer.alloc(reserveBytes));
    return true;
  } catch (error) {
    if (systemCode(error) === undefined) throw error;
    await rm(path, { force: true }).catch(() => undefined);
    return false;
  }
}
