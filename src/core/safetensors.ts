import { isRecord } from "./chunk-index.ts";
import { isModelError } from "./errors.ts";
import { parseJson } from "./json.ts";
import {
  elementCount,
  type HeaderReading,
  type ReadAt,
  type Tensor,
  type TensorHeader,
} from "./tensor-header.ts";

/** Largest JSON header the format allows, in bytes (100 MB, as its reference reader has it). */
export const maxSafetensorsHeaderBytes = 100_000_000;
const lengthBytes = 8;

/** The header of a safetensors file; `metadata` holds the strings of `__metadata__`. */
export type SafetensorsHeader = TensorHeader<string>;

// https://github.com/huggingface/safetensors: Dtype::bitsize
const bitsPerValue: ReadonlyMap<string, number> = new Map([
  ["F4", 4],
  ["F6_E2M3", 6],
  ["F6_E3M2", 6],
  ["BOOL", 8],
  ["U8", 8],
  ["I8", 8],
  ["F8_E4M3", 8],
  ["F8_E4M3FNUZ", 8],
  ["F8_E5M2", 8],
  ["F8_E5M2FNUZ", 8],
  ["F8_E8M0", 8],
  ["I16", 16],
  ["U16", 16],
  ["F16", 16],
  ["BF16", 16],
  ["I32", 32],
  ["U32", 32],
  ["F32", 32],
  ["I64", 64],
  ["U64", 64],
  ["F64", 64],
  ["C64", 64],
]);

/**
 * Reads the header of a safetensors file of `fileSize` bytes and nothing else of it. A header that
 * lies or does not cover the file to its last byte is "damaged"; only `readAt`'s own errors reject.
 */
export async function readSafetensorsHeader(
  readAt: ReadAt,
  fileSize: number,
): Promise<HeaderReading<SafetensorsHeader>> {
  if (fileSize < lengthBytes) return damaged(`is only ${fileSize} bytes`);
  const length = await readAt(0, lengthBytes);
  if (length.byteLength < lengthBytes) return damaged("ends inside its header");
  const jsonBytes = new DataView(length.buffer, length.byteOffset).getBigUint64(0, true);
  if (jsonBytes > maxSafetensorsHeaderBytes || lengthBytes + Number(jsonBytes) > fileSize)
    return damaged(`states a header of ${jsonBytes} bytes`);
  const json = await readAt(lengthBytes, Number(jsonBytes));
  if (json.byteLength < jsonBytes) return damaged("ends inside its header");
  return parseSafetensorsHeader(json, fileSize - lengthBytes - json.byteLength);
}

/** Parses the JSON of a safetensors header in front of `tensorBytes` bytes of tensors. */
export function parseSafetensorsHeader(
  json: Uint8Array,
  tensorBytes: number,
): HeaderReading<SafetensorsHeader> {
  const entries = parseEntries(json);
  if (typeof entries === "string") return damaged(entries);
  const headerBytes = lengthBytes + json.byteLength;
  const metadata = new Map<string, string>();
  const tensors: Tensor[] = [];
  for (const [name, raw] of entries) {
    if (name === "__metadata__") {
      if (!isRecord(raw)) return damaged("has a __metadata__ that is not an object");
      for (const [key, value] of Object.entries(raw))
        if (typeof value === "string") metadata.set(key, value);
      continue;
    }
    const tensor = parseTensor(name, raw, headerBytes);
    if (typeof tensor === "string") return damaged(`tensor ${quote(name)} ${tensor}`);
    tensors.push(tensor);
  }
  tensors.sort(compareTensors);
  const gap = findGap(tensors, headerBytes, headerBytes + tensorBytes);
  if (gap !== undefined) return damaged(gap);
  return { outcome: "read", header: { headerBytes, tensors, metadata } };
}

function parseEntries(json: Uint8Array): [string, unknown][] | string {
  const limits = {
    maxBytes: maxSafetensorsHeaderBytes,
    what: "header",
    code: "SOURCE_UNSUPPORTED",
  } as const;
  try {
    const root = parseJson(json, limits);
    if (!isRecord(root)) return "has a header that is not an object";
    const entries = Object.entries(root);
    return entries.length === countTopLevelKeys(json) ? entries : "names a tensor twice";
  } catch (error) {
    if (isModelError(error)) return `has a ${error.message}`;
    throw error;
  }
}

const [quoteMark, backslash, colon, openBracket, closeBracket, openBrace, closeBrace] =
  Buffer.from('"\\:[]{}');

/** JSON.parse keeps the last of two equal keys; the colons of valid JSON count every one. */
function countTopLevelKeys(json: Uint8Array): number {
  let [depth, keys, inString] = [0, 0, false];
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at];
    if (byte === quoteMark) inString = !inString;
    else if (inString) at += byte === backslash ? 1 : 0;
    else if (byte === colon) keys += depth === 1 ? 1 : 0;
    else if (byte === openBracket || byte === openBrace) depth += 1;
    else if (byte === closeBracket || byte === closeBrace) depth -= 1;
  }
  return keys;
}

function parseTensor(name: string, raw: unknown, headerBytes: number): Tensor | string {
  if (!isRecord(raw)) return "is not an object";
  const { dtype, shape, data_offsets: offsets } = raw;
  if (typeof dtype !== "string" || dtype === "") return "has no dtype";
  if (!isSizes(shape)) return "has no valid shape";
  if (!isSizes(offsets) || offsets.length !== 2) return "has no valid data_offsets";
  const [begin = 0, end = 0] = offsets;
  if (end < begin) return "ends before it starts";
  const bits = bitsPerValue.get(dtype);
  const count = elementCount(shape);
  if (count === undefined) return "has an absurd shape";
  if (bits !== undefined && count * bits !== (end - begin) * 8)
    return `is ${end - begin} bytes, not what ${dtype} and its shape need`;
  return { name, dtype, shape, offset: headerBytes + begin, size: end - begin };
}

function findGap(tensors: readonly Tensor[], start: number, end: number): string | undefined {
  let at = start;
  for (const { name, offset, size } of tensors) {
    if (offset > at) return `has ${offset - at} bytes before ${quote(name)} that no tensor claims`;
    if (offset < at) return `has two tensors in the same bytes, one is ${quote(name)}`;
    at = offset + size;
  }
  if (at > end) return `is cut short: its tensors need ${at - end} bytes more`;
  return at < end ? `has ${end - at} bytes after its last tensor` : undefined;
}

function compareTensors(a: Tensor, b: Tensor): number {
  return a.offset - b.offset || a.size - b.size || (a.name < b.name ? -1 : 1);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function damaged(reason: string): HeaderReading<never> {
  return { outcome: "damaged", reason };
}

function quote(name: string): string {
  return JSON.stringify(name.slice(0, 100));
}
