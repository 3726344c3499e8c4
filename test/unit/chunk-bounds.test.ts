import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import {
  fileId,
  maxChunkBytes,
  parseChunkIndex,
  serializeChunkIndex,
  treeId,
} from "../../src/core/chunk-index.ts";
import { digestOf } from "../../src/core/digest.ts";
import { ggmlTypeName } from "../../src/core/ggml-types.ts";
import { planChunks } from "../../src/pack/chunk-bounds.ts";
import { endsGroup } from "../../src/pack/tensor-groups.ts";

interface FakeTensor {
  readonly name: string;
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly size: number;
}

/** The front of a safetensors file; the tensors after it are never read. */
function safetensorsFront(tensors: readonly FakeTensor[], padTo = 0): Buffer {
  let end = 0;
  const entries = tensors.map(({ name, dtype, shape, size }) => {
    end += size;
    return [name, { dtype, shape, data_offsets: [end - size, end] }];
  });
  const json = JSON.stringify(Object.fromEntries(entries)).padEnd(padTo, " ");
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, Buffer.from(json)]);
}

function ggufFront(tensors: readonly { name: string; offset: number; shape: number[] }[]): Buffer {
  const u32 = (value: number) => Buffer.from(Uint32Array.of(value).buffer);
  const u64 = (value: number) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
  const text = (value: string) => Buffer.concat([u64(value.length), Buffer.from(value)]);
  const table = tensors.map(({ name, offset, shape }) =>
    Buffer.concat([text(name), u32(shape.length), ...shape.map(u64), u32(0), u64(offset)]),
  );
  const head = [Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(0), ...table];
  const bytes = Buffer.concat(head);
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 31)]);
}

const planOf = (path: string, front: Buffer, size: number) =>
  planChunks({ path, size }, (offset, length) =>
    Promise.resolve(front.subarray(offset, Math.min(size, offset + length))),
  );

const u8 = (name: string, size: number): FakeTensor => ({ name, dtype: "U8", shape: [size], size });
const sum = (sizes: readonly number[]) => sizes.reduce((total, size) => total + size, 0);

test("the header of a safetensors file is a chunk, then come its tensors", async () => {
  const tensors = [
    u8("a.norm", 10),
    u8("a.up", 40_000_000),
    u8("b.norm", 10),
    u8("b.up", 20_000_000),
  ];
  const front = safetensorsFront(tensors);
  const size = front.length + sum(tensors.map((tensor) => tensor.size));
  const plan = await planOf("m.safetensors", front, size);
  expect(plan).toEqual({
    kind: "fixed",
    sizes: [front.length, 10, maxChunkBytes, 40_000_000 - maxChunkBytes, 20_000_010],
  });
});

test("a safetensors header larger than a chunk is cut every 32 MiB", async () => {
  const front = safetensorsFront([u8("a", 5)], 40_000_000);
  const plan = await planOf("m.safetensors", front, front.length + 5);
  expect(plan).toEqual({
    kind: "fixed",
    sizes: [maxChunkBytes, front.length - maxChunkBytes, 5],
  });
});

test("a safetensors file without tensors is its header", async () => {
  const front = safetensorsFront([]);
  expect(await planOf("m.safetensors", front, front.length)).toEqual({
    kind: "fixed",
    sizes: [front.length],
  });
});

test("the padding of a GGUF file belongs to its header and to the tensors before it", async () => {
  const front = ggufFront([
    { name: "blk.0.up.weight", offset: 0, shape: [2_500_001] },
    { name: "blk.0.norm.weight", offset: 10_000_032, shape: [3] },
  ]);
  const plan = await planOf("m.gguf", front, front.length + 10_000_032 + 12);
  expect(plan).toEqual({ kind: "fixed", sizes: [front.length, 10_000_032, 12] });
});

describe("a file that is cut by content", () => {
  test("is one whose name has no tensor format; nothing of it is read", async () => {
    const readAt = () => Promise.reject(new Error("read"));
    const plan = await planChunks({ path: "a.bin", size: 100 }, readAt);
    expect(plan).toEqual({ kind: "content" });
  });

  test.each([
    ["sub/m.safetensors", Buffer.from("not a header, not at all")],
    ["sub/m.safetensors", Buffer.from("tiny")],
    ["sub/m.gguf", Buffer.from("not a header, not at all")],
    ["sub/m.gguf", Buffer.from("GGUF")],
  ])("is %s with a damaged header, with a warning that names it", async (path, bytes) => {
    const plan = await planOf(path, bytes, bytes.length);
    expect(plan).toMatchObject({ kind: "content", warning: expect.stringContaining(path) });
  });

  test("is a safetensors file with bytes that no tensor claims", async () => {
    const front = safetensorsFront([u8("a", 5)]);
    const plan = await planOf("m.safetensors", front, front.length + 6);
    expect(plan).toMatchObject({ kind: "content", warning: expect.stringContaining("1 bytes") });
  });

  test("has no warning when it is empty", async () => {
    expect(await planOf("m.safetensors", Buffer.alloc(0), 0)).toEqual({ kind: "content" });
  });
});

describe("docs/format.md", async () => {
  const text = await readFile(new URL("../../docs/format.md", import.meta.url), "utf8");

  test("cuts its worked safetensors file as the code does", async () => {
    const lines = [...text.matchAll(/^[0-9a-f]{8}: {2}((?:[0-9a-f]{2} ?)+)/gm)];
    const file = Buffer.from(lines.map((line) => line[1]?.replaceAll(" ", "")).join(""), "hex");
    expect(file).toHaveLength(184);
    const plan = await planOf("tiny.safetensors", file, file.length);
    expect(plan).toEqual({ kind: "fixed", sizes: [168, 16] });
    for (const bytes of [file.subarray(0, 168), file.subarray(168), file])
      expect(text).toContain(digestOf(bytes));
  });

  test("names the ids of its worked model as the code does", () => {
    const json = /^\{"schemaVersion":1.*\}$/m.exec(text)?.[0] ?? "";
    const index = parseChunkIndex(Buffer.from(json), "docs/format.md");
    expect(serializeChunkIndex(index).toString()).toBe(json);
    expect(text).toContain(`these ${json.length} bytes`);
    expect(text).toContain(digestOf(json));
    expect(text).toContain(treeId(index));
    for (const file of index.files.filter(({ size }) => size > 0))
      expect(text).toContain(fileId(file));
  });

  test("decides its worked tensors as the code does", () => {
    const rows = [
      ...text.matchAll(/^\| `(\S+)` \| (\S+) \| `([\d,]*)` \| (\d+) \| .* \| (yes|no) \|$/gm),
    ];
    expect(rows.length).toBeGreaterThan(4);
    for (const [, name = "", dtype = "", shape = "", size, ends] of rows) {
      const tensor = { name, dtype, shape: shape.split(",").map(Number), size: Number(size) };
      expect([name, endsGroup(tensor)]).toEqual([name, ends === "yes"]);
    }
  });

  test("lists the GGUF type names that the rules hash, which may never change", () => {
    const listed = /^GGUF types: (.+)\.$/m.exec(text)?.[1];
    const known = Array.from({ length: 256 }, (_, id) => [id, ggmlTypeName(id)] as const)
      .filter(([id, name]) => name !== `type ${id}`)
      .map(([id, name]) => `${id} ${name}`);
    expect(listed).toBe(known.join(", "));
  });
});
