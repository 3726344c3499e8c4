import { ByteCursor, DamagedBytes } from "./byte-cursor.ts";
import { ggmlTypeBytes, ggmlTypeName } from "./ggml-types.ts";
import {
  elementCount,
  type HeaderReading,
  type ReadAt,
  type Tensor,
  type TensorHeader,
} from "./tensor-header.ts";

/**
 * Bounds on a GGUF header from outside. Real ones are a few MB, most of it the tokenizer, which is
 * walked over and not kept. Strings longer than `valueBytes` are left out of the metadata.
 */
export const ggufLimits = {
  headerBytes: 268_435_456,
  tensors: 1_000_000,
  entries: 65_536,
  nameBytes: 1024,
  valueBytes: 16_384,
  keptBytes: 16_777_216,
  dimensions: 8,
  arrayDepth: 4,
  alignment: 1_048_576,
} as const;

type GgufValue = string | number | boolean;

/** The header of a GGUF file; `metadata` has no arrays, no numbers above 2^53, no long strings. */
export type GgufHeader = TensorHeader<GgufValue>;

const magic = 0x46554747; // "GGUF"
const [uint32Type, stringType, arrayType] = [4, 8, 9];

// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md: gguf_metadata_value_type
const scalars: ReadonlyMap<number, { size: number; read: (from: DataView) => GgufValue }> = new Map(
  [
    [0, { size: 1, read: (from) => from.getUint8(0) }],
    [1, { size: 1, read: (from) => from.getInt8(0) }],
    [2, { size: 2, read: (from) => from.getUint16(0, true) }],
    [3, { size: 2, read: (from) => from.getInt16(0, true) }],
    [uint32Type, { size: 4, read: (from) => from.getUint32(0, true) }],
    [5, { size: 4, read: (from) => from.getInt32(0, true) }],
    [6, { size: 4, read: (from) => from.getFloat32(0, true) }],
    [7, { size: 1, read: (from) => from.getUint8(0) !== 0 }],
    [10, { size: 8, read: (from) => Number(from.getBigUint64(0, true)) }],
    [11, { size: 8, read: (from) => Number(from.getBigInt64(0, true)) }],
    [12, { size: 8, read: (from) => from.getFloat64(0, true) }],
  ],
);

/**
 * Reads the header of a GGUF file (version 2 or 3, little-endian) of `fileSize` bytes and nothing
 * else of it. A tensor reaches to the next one, so padding belongs to the tensor before it and the
 * last ends with the file. Anything else is "damaged"; only `readAt`'s own errors reject.
 */
export async function readGgufHeader(
  readAt: ReadAt,
  fileSize: number,
): Promise<HeaderReading<GgufHeader>> {
  try {
    const cursor = new ByteCursor(readAt, Math.min(fileSize, ggufLimits.headerBytes));
    return { outcome: "read", header: await readHeader(cursor, fileSize) };
  } catch (error) {
    if (error instanceof DamagedBytes) return { outcome: "damaged", reason: error.message };
    throw error;
  }
}

async function readHeader(cursor: ByteCursor, fileSize: number): Promise<GgufHeader> {
  await cursor.load(24);
  if (cursor.takeU32() !== magic) throw new DamagedBytes("does not start with GGUF");
  const version = cursor.takeU32();
  if (version !== 2 && version !== 3)
    throw new DamagedBytes(
      version % 65_536 === 0 ? "is big-endian" : `is GGUF version ${version}, which is not known`,
    );
  const tensorCount = cursor.takeU64();
  const entryCount = cursor.takeU64();
  if (tensorCount > ggufLimits.tensors || entryCount > ggufLimits.entries)
    throw new DamagedBytes(`claims ${tensorCount} tensors and ${entryCount} metadata entries`);
  const metadata = await readMetadata(cursor, entryCount);
  const listed = await readTensorTable(cursor, tensorCount);
  const tensorsStart = alignUp(cursor.position, alignmentOf(metadata));
  const tensors = placeTensors(listed, tensorsStart, fileSize);
  return { headerBytes: tensors[0]?.offset ?? fileSize, tensors, metadata };
}

async function readMetadata(cursor: ByteCursor, count: number): Promise<Map<string, GgufValue>> {
  const keys = new Set<string>();
  const metadata = new Map<string, GgufValue>();
  let keptBytes = 0;
  for (let entry = 0; entry < count; entry += 1) {
    const key = await readName(cursor, "metadata key");
    if (keys.has(key)) throw new DamagedBytes(`has the metadata key ${quote(key)} twice`);
    keys.add(key);
    await cursor.load(4);
    const value = await readValue(cursor, cursor.takeU32());
    if (value !== undefined) metadata.set(key, value);
    keptBytes += key.length + (typeof value === "string" ? value.length : 8);
    if (keptBytes > ggufLimits.keptBytes) throw new DamagedBytes("has absurdly much metadata");
  }
  return metadata;
}

/** Reads one value; undefined for those that are walked over. */
async function readValue(cursor: ByteCursor, type: number): Promise<GgufValue | undefined> {
  if (type === arrayType) {
    await skipArray(cursor, 1);
    return undefined;
  }
  if (type === stringType) {
    await cursor.load(8);
    const length = cursor.takeU64();
    if (length <= ggufLimits.valueBytes) return readText(cursor, length);
    cursor.skip(length);
    return undefined;
  }
  const scalar = scalarOf(type);
  await cursor.load(scalar.size);
  const value = scalar.read(cursor.take(scalar.size));
  const exact = scalar.size < 8 || !Number.isInteger(value) || Number.isSafeInteger(value);
  return exact ? value : undefined;
}

async function skipArray(cursor: ByteCursor, depth: number): Promise<void> {
  if (depth > ggufLimits.arrayDepth) throw new DamagedBytes("nests arrays too deep");
  await cursor.load(12);
  const type = cursor.takeU32();
  const count = cursor.takeU64();
  if (type !== stringType && type !== arrayType) {
    cursor.skip(count * scalarOf(type).size);
    return;
  }
  for (let item = 0; item < count; item += 1) {
    if (type === arrayType) await skipArray(cursor, depth + 1);
    else {
      // Vocabularies have 10^5 strings: an await for each would take most of the time.
      if (!cursor.holds(8)) await cursor.load(8);
      cursor.skip(cursor.takeU64());
    }
  }
}

/** A tensor before its size is known; `offset` counts from where the tensors start. */
interface ListedTensor extends Omit<Tensor, "size"> {
  readonly neededBytes: number | undefined;
}

async function readTensorTable(cursor: ByteCursor, count: number): Promise<ListedTensor[]> {
  const names = new Set<string>();
  const tensors: ListedTensor[] = [];
  for (let entry = 0; entry < count; entry += 1) {
    const name = await readName(cursor, "tensor name");
    if (names.has(name)) throw new DamagedBytes(`has the tensor ${quote(name)} twice`);
    names.add(name);
    tensors.push(await readTensorPlace(cursor, name));
  }
  return tensors;
}

async function readTensorPlace(cursor: ByteCursor, name: string): Promise<ListedTensor> {
  await cursor.load(4);
  const dimensions = cursor.takeU32();
  if (dimensions > ggufLimits.dimensions)
    throw new DamagedBytes(`tensor ${quote(name)} has ${dimensions} dimensions`);
  await cursor.load(dimensions * 8 + 12);
  const shape = Array.from({ length: dimensions }, () => cursor.takeU64());
  const type = cursor.takeU32();
  const offset = cursor.takeU64();
  const values = elementCount(shape);
  if (values === undefined) throw new DamagedBytes(`tensor ${quote(name)} has an absurd shape`);
  const neededBytes = values === 0 ? 0 : ggmlTypeBytes(type, values);
  return { name, dtype: ggmlTypeName(type), shape, offset, neededBytes };
}

function placeTensors(listed: ListedTensor[], start: number, fileSize: number): Tensor[] {
  if (listed.length === 0 && fileSize > start)
    throw new DamagedBytes(`has ${fileSize - start} bytes after its header and no tensors`);
  listed.sort(compareTensors);
  return listed.map(({ name, dtype, shape, offset, neededBytes }, at) => {
    const next = listed[at + 1];
    const end = next === undefined ? fileSize : start + next.offset;
    const size = end - (start + offset);
    if (size < (neededBytes ?? 0)) {
      const why = next === undefined ? "is cut short" : `overlaps ${quote(next.name)}`;
      throw new DamagedBytes(`tensor ${quote(name)} ${why}`);
    }
    return { name, dtype, shape, offset: start + offset, size };
  });
}

/** By offset; where several share one, those that need no bytes stand first. */
function compareTensors(a: ListedTensor, b: ListedTensor): number {
  const [needed, other] = [a.neededBytes ?? 1, b.neededBytes ?? 1];
  return a.offset - b.offset || needed - other || (a.name < b.name ? -1 : 1);
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>): number {
  const alignment = metadata.get("general.alignment") ?? 32;
  const isPowerOfTwo = typeof alignment === "number" && Number.isInteger(Math.log2(alignment));
  if (!isPowerOfTwo || alignment < 1 || alignment > ggufLimits.alignment)
    throw new DamagedBytes(`has the alignment ${String(alignment).slice(0, 20)}`);
  return alignment;
}

function alignUp(position: number, alignment: number): number {
  return Math.ceil(position / alignment) * alignment;
}

async function readName(cursor: ByteCursor, what: string): Promise<string> {
  await cursor.load(8);
  const length = cursor.takeU64();
  if (length > ggufLimits.nameBytes) throw new DamagedBytes(`has a ${what} of ${length} bytes`);
  return readText(cursor, length);
}

async function readText(cursor: ByteCursor, length: number): Promise<string> {
  await cursor.load(length);
  return cursor.takeText(length);
}

function scalarOf(type: number): { size: number; read: (from: DataView) => GgufValue } {
  const scalar = scalars.get(type);
  if (scalar === undefined) throw new DamagedBytes(`has a value of the unknown type ${type}`);
  return scalar;
}

function quote(name: string): string {
  return JSON.stringify(name.slice(0, 100));
}
