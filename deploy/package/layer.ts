import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { type Pack, pack } from "tar-stream";
import { createDigestHash, type Digest, digestOf } from "../../src/core/digest.ts";
import type { ImageFile } from "./image-file.ts";

/** A layer of an image as it is stored, with the digest of the archive before compression. */
export interface ImageLayer {
  readonly bytes: Buffer;
  readonly digest: Digest;
  readonly diffId: Digest;
}

/** Packs files into a layer: same files, same bytes. Folders above them are added. */
export async function packLayer(files: readonly ImageFile[]): Promise<ImageLayer> {
  const diffId = createDigestHash();
  const pieces: Buffer[] = [];
  await pipeline(
    packTar(files),
    async function* hashed(source: AsyncIterable<Buffer>) {
      for await (const piece of source) {
        diffId.update(piece);
        yield piece;
      }
    },
    createGzip(),
    async (source: AsyncIterable<Buffer>) => {
      for await (const piece of source) pieces.push(piece);
    },
  );
  const bytes = Buffer.concat(pieces);
  return { bytes, digest: digestOf(bytes), diffId: diffId.digest() };
}

/** An archive of files of root's that are of no time, sorted by path. Its pieces are read once. */
export async function* packTar(files: readonly ImageFile[]): AsyncGenerator<Buffer> {
  const archive = pack();
  // What is wrong with an entry, who reads the archive hears.
  for (const file of withFolders(files).toSorted((a, b) => (a.path < b.path ? -1 : 1)))
    add(archive, file);
  archive.finalize();
  for await (const piece of archive) yield piece as Buffer;
}

function withFolders(files: readonly ImageFile[]): ImageFile[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  if (byPath.size < files.length) throw new Error("a path is there twice");
  for (const { path } of files)
    for (let at = path.indexOf("/"); at !== -1; at = path.indexOf("/", at + 1)) {
      const folder = path.slice(0, at);
      const there = byPath.get(folder);
      if (there === undefined) byPath.set(folder, { path: folder, kind: "folder" });
      else if (there.kind !== "folder") throw new Error(`${folder} is no folder`);
    }
  return [...byPath.values()];
}

function add(archive: Pack, file: ImageFile): void {
  const common = { name: file.path, uid: 0, gid: 0, mtime: new Date(0) };
  switch (file.kind) {
    case "folder":
      archive.entry({ ...common, type: "directory", mode: 0o755 });
      break;
    case "link":
      archive.entry({ ...common, type: "symlink", linkname: file.target, mode: 0o777 });
      break;
    case "file":
      archive.entry({ ...common, mode: file.executable ? 0o755 : 0o644 }, Buffer.from(file.bytes));
      break;
  }
}
