import { open } from "node:fs/promises";
import { basename, dirname } from "node:path";

/**
 * Calls `work` with a name of `path` that is short enough for a unix socket, which holds about 100
 * bytes; it is good until `work` ends. Only on Linux; elsewhere a long path stays what it is, and the
 * system refuses it.
 */
export async function withShortPath<T>(
  path: string,
  work: (short: string) => Promise<T>,
): Promise<T> {
  if (Buffer.byteLength(path) < 100 || process.platform !== "linux") return work(path);
  await using folder = await open(dirname(path), "r");
  return await work(`/proc/self/fd/${folder.fd}/${basename(path)}`);
}
