import { lstat, readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";

/** One thing in a layer of an image; `path` has no leading slash. All of it is root's. */
export type ImageFile = {
  readonly path: string;
} & (
  | { readonly kind: "folder" }
  | { readonly kind: "link"; readonly target: string }
  | { readonly kind: "file"; readonly bytes: Uint8Array; readonly executable: boolean }
);

/** A text file. */
export function textFile(path: string, text: string): ImageFile {
  return { path, kind: "file", bytes: Buffer.from(text), executable: false };
}

/** A file or symbolic link of this machine, at `path` of the image; its owner may execute it, all may. */
export async function copyOf(source: string, path: string): Promise<ImageFile> {
  const stats = await lstat(source);
  if (stats.isSymbolicLink()) return { path, kind: "link", target: await readlink(source) };
  const executable = (stats.mode & 0o100) !== 0;
  return { path, kind: "file", bytes: await readFile(source), executable };
}

/** All files below a folder of this machine, as `copyOf`; `keep` gets paths relative to it. */
export async function copiesBelow(
  source: string,
  path: string,
  keep: (file: string) => boolean = () => true,
): Promise<ImageFile[]> {
  const entries = await readdir(source, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(source.length + 1))
    .filter(keep);
  return Promise.all(files.map((file) => copyOf(join(source, file), join(path, file))));
}
