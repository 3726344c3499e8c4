import { randomBytes } from "node:crypto";
import { lstat, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { undefinedIfMissing } from "../../src/core/absence.ts";

/** A socket's name in the filesystem. */
export interface SocketName {
  /** Removes the name, unless a newer process has put its own socket there. */
  remove(): Promise<void>;
}

/**
 * Lets `bind` listen at a path of its own and renames that to `path`, over whatever is there: clients
 * find the old listener or the new one, never none. A server that listens at `path` itself would unlink
 * that name when it closes, even when it leads to a newer process. The first name begins with a dot,
 * because a kubelet takes any other socket in its registry for a plugin.
 */
export async function bindUnderName(
  path: string,
  bind: (path: string) => Promise<void>,
): Promise<SocketName> {
  const first = join(dirname(path), `.${basename(path)}.${randomBytes(4).toString("hex")}`);
  await bind(first);
  try {
    const { dev, ino } = await lstat(first);
    await rename(first, path);
    return {
      remove: async () => {
        const there = await lstat(path).catch(undefinedIfMissing);
        if (there?.ino === ino && there.dev === dev) await rm(path, { force: true });
      },
    };
  } catch (error) {
    await rm(first, { force: true });
    throw error;
  }
}
