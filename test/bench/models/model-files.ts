import { createCipheriv, createHash, hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { llamaConfig, type PlannedShard, safetensorsHeader } from "./llama-shape.ts";

/** A file of a model that the bench made. */
export interface ModelFile {
  readonly path: string;
  readonly size: number;
  /** sha256, in hex. */
  readonly hex: string;
}

/** A model on disk. */
export interface ModelFiles {
  readonly folder: string;
  readonly files: readonly ModelFile[];
  /** Bytes of all files. */
  readonly bytes: number;
}

const pieceBytes = 4_194_304;
const zeros = Buffer.alloc(pieceBytes);

/**
 * Writes a model with pseudo-random tensors. What a tensor holds follows from its name and the
 * version that `versionOf` gives it, so two models differ in just the tensors that it tells apart.
 */
export async function writeModel(
  folder: string,
  shards: readonly PlannedShard[],
  options: {
    readonly versionOf?: (tensor: string) => string;
    readonly signal: AbortSignal;
  },
): Promise<ModelFiles> {
  await mkdir(folder, { recursive: true });
  const files: ModelFile[] = [];
  for (const shard of shards) files.push(await writeShard(folder, shard, options));
  await writeFile(join(folder, "config.json"), llamaConfig);
  const hex = hash("sha256", llamaConfig, "hex");
  files.push({ path: "config.json", size: Buffer.byteLength(llamaConfig), hex });
  return { folder, files, bytes: files.reduce((sum, { size }) => sum + size, 0) };
}

async function writeShard(
  folder: string,
  { path, tensors }: PlannedShard,
  options: { readonly versionOf?: (tensor: string) => string; readonly signal: AbortSignal },
): Promise<ModelFile> {
  const { versionOf = () => "1", signal } = options;
  await using file = await open(join(folder, path), "wx");
  const digest = createHash("sha256");
  let size = 0;
  const write = async (bytes: Buffer) => {
    digest.update(bytes);
    await file.write(bytes);
    size += bytes.byteLength;
  };
  await write(safetensorsHeader(tensors));
  for (const tensor of tensors) {
    const key = hash("sha256", `${tensor.name} ${versionOf(tensor.name)}`, "buffer");
    const cipher = createCipheriv("aes-128-ctr", key.subarray(0, 16), Buffer.alloc(16));
    for (let left = tensor.size; left > 0; left -= pieceBytes) {
      signal.throwIfAborted();
      await write(cipher.update(zeros.subarray(0, left)));
    }
  }
  return { path, size, hex: digest.digest("hex") };
}

/**
 * Rejects unless every file of the model lies somewhere below `folder`, under whatever name, with
 * just its bytes; counts on the sha256 of Node alone.
 */
export async function expectContent(
  folder: string,
  model: ModelFiles,
  signal: AbortSignal,
): Promise<void> {
  const sizes = new Set(model.files.map(({ size }) => size));
  const found = new Set<string>();
  const seen = new Set<number>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const { size, ino } = await stat(path);
    if (!sizes.has(size) || seen.has(ino)) continue;
    seen.add(ino);
    found.add(await hashFile(path, signal));
  }
  const missing = model.files.filter(({ hex }) => !found.has(hex)).map(({ path }) => path);
  if (missing.length > 0) throw new Error(`wrong or missing in ${folder}: ${missing.join(", ")}`);
}

/** Rejects unless the files of the model lie in `folder` under their own paths. */
export async function expectFiles(
  folder: string,
  { files }: ModelFiles,
  signal: AbortSignal,
): Promise<void> {
  for (const { path, hex } of files)
    if ((await hashFile(join(folder, path), signal)) !== hex)
      throw new Error(`${path} has other bytes in ${folder}`);
}

async function hashFile(path: string, signal: AbortSignal): Promise<string> {
  const digest = createHash("sha256");
  const pieces = createReadStream(path, { highWaterMark: pieceBytes, signal });
  for await (const piece of pieces) digest.update(piece as Buffer);
  return digest.digest("hex");
}
