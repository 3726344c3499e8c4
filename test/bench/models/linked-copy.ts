import { copyFile, link, mkdir, readdir, readlink, stat, symlink } from "node:fs/promises";
import { join } from "node:path";

/** Smaller files are copied: programs may write into those, never into whole blobs. */
const linkedFromBytes = 4_194_304;

/** Copies a folder whose large files nobody writes to again: they become hard links. */
export async function copyLinked(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await copyLinked(source, target);
    else if (entry.isSymbolicLink()) await symlink(await readlink(source), target);
    // Sockets and the like belong to a process, not to its state.
    else if (entry.isFile())
      await ((await stat(source)).size >= linkedFromBytes
        ? link(source, target)
        : copyFile(source, target));
  }
}
