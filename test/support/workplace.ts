import { createCipheriv } from "node:crypto";
import { readFileSync } from "node:fs";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import { type Digest, digestOf } from "../../src/core/digest.ts";
import type { ProgressEvent } from "../../src/core/progress.ts";
import { type PushOptions, type PushResult, push } from "../../src/model/push.ts";
import { startRegistry } from "../../src/registry/server/server.ts";
import { makeSafetensors, makeTemporaryFolder, writeTree } from "./models.ts";

/** Bytes of a MiB. */
export const mebi = 1_048_576;

/** A folder with a registry in it, for tests that push and pull. */
export interface Workplace extends AsyncDisposable {
  readonly path: string;
  /** Where the registry keeps its repositories. */
  readonly registryRoot: string;
  /** Answered requests as `METHOD /path STATUS`, oldest first. */
  readonly requests: string[];
  /** Called before a request is noted in `requests`. */
  onRequest: ((line: string) => void) | undefined;
  /** A path in the folder. */
  inside(...names: string[]): string;
  /** A reference to the registry, of `repository:tag`. */
  ref(name: string): string;
  /** Writes files into a folder of that name and returns its path. */
  write(name: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<string>;
  /** A folder with three files, 5 MiB in all: weights of three tensors, a nested file, a config. */
  writeModel(name?: string, seed?: string): Promise<string>;
  /** Pushes a folder to the registry, as `repository:tag`. */
  push(source: string, name: string, options?: Partial<PushOptions>): Promise<PushResult>;
  /** Where the registry keeps a blob. */
  blob(repository: string, digest: string): string;
}

/** Starts it; everything is gone when it is disposed. */
export async function openWorkplace(): Promise<Workplace> {
  const folder = await makeTemporaryFolder();
  const inside = (...names: string[]) => join(folder.path, ...names);
  const registryRoot = inside("registry");
  const registry = await startRegistry({
    root: registryRoot,
    limits: { closeGraceMs: 100 },
    onRequest: ({ method, path, status }) => {
      const line = `${method} ${path} ${status}`;
      place.onRequest?.(line);
      place.requests.push(line);
    },
  });
  const place: Workplace = {
    path: folder.path,
    registryRoot,
    requests: [],
    onRequest: undefined,
    inside,
    ref: (name) => `${registry.address}/${name}`,
    write: async (name, files) => {
      await writeTree(inside(name), files);
      return inside(name);
    },
    writeModel: (name = "model", seed = "a") => place.write(name, smallModel(seed)),
    push: (source, name, options) => push({ source, reference: place.ref(name), ...options }),
    blob: (repository, digest) =>
      join(registryRoot, repository.replaceAll("/", "+"), "blobs", digest.replace(":", "/")),
    async [Symbol.asyncDispose]() {
      await registry[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
  return place;
}

/** Bytes that look random and are the same for the same seed. */
export function seededBytes(seed: string, size: number): Buffer {
  const key = Buffer.alloc(16, `${seed}.`);
  const cipher = createCipheriv("aes-128-ctr", key, Buffer.alloc(16, seed.length));
  return cipher.update(Buffer.alloc(size));
}

/** Every regular file below a folder with the digest of its content, by relative path. */
export async function readTree(
  root: string,
  skip: (path: string) => boolean = (path) => path.startsWith(".ballast/"),
): Promise<Record<string, Digest>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .filter((path) => !skip(path));
  return Object.fromEntries(
    paths.sort().map((path) => [path, digestOf(readFileSync(join(root, path)))]),
  );
}

/** Everything below a folder: paths, sizes and times, to tell whether anything changed. */
export async function snapshot(root: string): Promise<string[]> {
  const names = await readdir(root, { recursive: true });
  const lines = await Promise.all(
    names.map(async (name) => {
      const { size, mtimeMs, mode } = await stat(join(root, name));
      return `${name} ${size} ${mtimeMs} ${mode}`;
    }),
  );
  return lines.sort();
}

/** Flips one bit of a file, whatever its mode. */
export async function flipBit(path: string, offset: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[offset] = (bytes[offset] ?? 0) ^ 1;
  await writeFile(path, bytes);
}

/** Adds the bytes of progress events by file; `moved`, `reused` and `checked` together. */
export function countProgress(): {
  readonly onProgress: (event: ProgressEvent) => void;
  readonly files: Map<string, { bytes: number; fileSize: number }>;
  readonly messages: string[];
} {
  const files = new Map<string, { bytes: number; fileSize: number }>();
  const messages: string[] = [];
  return {
    files,
    messages,
    onProgress: (event) => {
      if (event.type === "warning" || event.type === "notice") messages.push(event.message);
      if (event.type !== "bytes") return;
      const file = files.get(event.path) ?? { bytes: 0, fileSize: event.fileSize };
      files.set(event.path, { ...file, bytes: file.bytes + event.bytes });
    },
  };
}

function smallModel(seed: string): Record<string, string | Uint8Array> {
  const tensors = ["x", "y", "z"].map((tensor) => ({
    name: `layers.0.${tensor}`,
    dtype: "U8",
    shape: [mebi],
    bytes: seededBytes(`${seed}${tensor}`, mebi),
  }));
  return {
    "model.safetensors": makeSafetensors(tensors),
    "sub/other.bin": seededBytes(`${seed}other`, 2 * mebi),
    "config.json": JSON.stringify({ model_type: "llama" }),
  };
}
