import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { ReadAt } from "../../src/core/tensor-header.ts";

/** A folder of a test's own, removed when disposed. */
export interface TemporaryFolder extends AsyncDisposable {
  readonly path: string;
}

export async function makeTemporaryFolder(): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), "ballast-test-"));
  return {
    path,
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

/** Writes files, given by relative path, below `root`. */
export async function writeTree(
  root: string,
  files: Readonly<Record<string, string | Uint8Array>>,
): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
  }
}

/** Reads ranges of bytes in memory. */
export function readAtOfBytes(bytes: Uint8Array): ReadAt {
  return (offset, length) => Promise.resolve(bytes.slice(offset, offset + length));
}

export interface SafetensorsTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** Makes a safetensors file: the tensors lie in the order given, the header in the same order. */
export function makeSafetensors(
  tensors: readonly SafetensorsTensor[],
  metadata?: Readonly<Record<string, string>>,
): Buffer {
  let end = 0;
  const entries = tensors.map(({ name, dtype, shape, bytes }) => {
    const begin = end;
    end += bytes.byteLength;
    return [name, { dtype, shape, data_offsets: [begin, end] }] as const;
  });
  const header = [...(metadata === undefined ? [] : [["__metadata__", metadata]]), ...entries];
  // Not JSON.stringify of an object: a tensor may be called __proto__ or 1.
  const members = header.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`);
  const json = `{${members.join(",")}}`;
  return frameSafetensors(json, Buffer.concat(tensors.map((tensor) => tensor.bytes)));
}

/** A safetensors file with whatever stands in `json` as its header. */
export function frameSafetensors(json: string, tensorBytes: Uint8Array): Buffer {
  const header = Buffer.from(json);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.byteLength));
  return Buffer.concat([length, header, tensorBytes]);
}

export interface GgufTensor {
  readonly name: string;
  /** Innermost first. */
  readonly shape: readonly number[];
  /** ggml's number: 0 is F32, 1 is F16, 12 is Q4_K. */
  readonly type: number;
  readonly bytes: Uint8Array;
}

/** A metadata value: a string, a bool, an uint32, or already encoded (type and value). */
export type GgufMetadataValue = string | boolean | number | Buffer;

export interface GgufModel {
  readonly metadata?: readonly (readonly [string, GgufMetadataValue])[];
  readonly tensors?: readonly GgufTensor[];
  readonly version?: number;
  readonly alignment?: number;
}

/** Makes a GGUF file; tensors are padded to the alignment, the last one too. */
export function makeGguf(model: GgufModel): Buffer {
  const { metadata = [], tensors = [], version = 3, alignment = 32 } = model;
  let offset = 0;
  const table = tensors.map(({ name, shape, type, bytes }) => {
    const entry = [ggufString(name), u32(shape.length), ...shape.map(u64), u32(type), u64(offset)];
    offset += roundUp(bytes.byteLength, alignment);
    return Buffer.concat(entry);
  });
  const entries = metadata.map(([key, value]) =>
    Buffer.concat([ggufString(key), encodeGguf(value)]),
  );
  const start = [Buffer.from("GGUF"), u32(version), u64(tensors.length), u64(metadata.length)];
  const header = Buffer.concat([...start, ...entries, ...table]);
  const parts = [header, ...tensors.map((tensor) => tensor.bytes)];
  return Buffer.concat(parts.map((part) => pad(part, alignment)));
}

/** An encoded array, for a metadata value. */
export function ggufArray(type: number, items: readonly Buffer[]): Buffer {
  return Buffer.concat([u32(9), u32(type), u64(items.length), ...items]);
}

export function ggufString(text: string): Buffer {
  const bytes = Buffer.from(text);
  return Buffer.concat([u64(bytes.byteLength), bytes]);
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function encodeGguf(value: GgufMetadataValue): Buffer {
  if (typeof value === "string") return Buffer.concat([u32(8), ggufString(value)]);
  if (typeof value === "boolean") return Buffer.concat([u32(7), Buffer.from([value ? 1 : 0])]);
  return typeof value === "number" ? Buffer.concat([u32(4), u32(value)]) : value;
}

function pad(bytes: Uint8Array, alignment: number): Buffer {
  return Buffer.concat([
    bytes,
    Buffer.alloc(roundUp(bytes.byteLength, alignment) - bytes.byteLength),
  ]);
}

function roundUp(size: number, alignment: number): number {
  return Math.ceil(size / alignment) * alignment;
}
