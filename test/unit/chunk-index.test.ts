import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type ChunkIndex,
  fileId,
  indexLimits,
  maxChunkBytes,
  parseChunkIndex,
  serializeChunkIndex,
  treeId,
} from "../../src/core/chunk-index.ts";
import { type Digest, digestHex, digestOf } from "../../src/core/digest.ts";

const [a, b, l] = [digestOf("a"), digestOf("b"), digestOf("l")] as const;
const good: ChunkIndex = {
  layers: [{ digest: l, size: 100 }],
  files: [
    {
      path: "a",
      size: 30,
      digest: digestOf("whole"),
      chunks: [
        { digest: a, size: 10, layer: 0, offset: 90 },
        { digest: b, size: 20, layer: 0, offset: 0 },
      ],
    },
    { path: "b/empty", size: 0, chunks: [] },
  ],
};

describe("a ChunkIndex", () => {
  test("is written as canonical bytes", () => {
    const reversed = { ...good, files: good.files.toReversed() };
    const bytes = serializeChunkIndex(reversed);
    expect(bytes.toString()).toBe(
      '{"schemaVersion":1,"chunking":{"rules":1,"target":33554432},' +
        `"layers":[{"digest":"${l}","size":100}],` +
        `"files":[{"path":"a","size":30,"digest":"${digestOf("whole")}",` +
        `"chunks":[["${a}",10,0,90],["${b}",20,0,0]]},` +
        '{"path":"b/empty","size":0,"chunks":[]}]}',
    );
    expect(serializeChunkIndex(good)).toEqual(bytes);
  });

  test("reads back as it was written", () => {
    const chunk = fc.record({
      digest: fc.integer({ min: 0, max: 50 }).map((n) => ({ n, digest: digestOf(String(n)) })),
      offset: fc.integer({ min: 0, max: 1000 }),
    });
    const files = fc.uniqueArray(
      fc.record({
        path: fc.stringMatching(/^[a-zé模]{1,6}\.bin$/).map((path) => path.normalize()),
        chunks: fc.array(chunk, { maxLength: 5 }),
      }),
      { selector: (file) => file.path },
    );
    fc.assert(
      fc.property(files, (raw) => {
        const index: ChunkIndex = {
          layers: [{ digest: l, size: 2000 }],
          files: raw.map(({ path, chunks }) => ({
            path,
            size: chunks.reduce((sum, each) => sum + each.digest.n + 1, 0),
            chunks: chunks.map(({ digest, offset }) => ({
              digest: digest.digest,
              size: digest.n + 1,
              layer: 0,
              offset,
            })),
          })),
        };
        const bytes = serializeChunkIndex(index);
        const read = parseChunkIndex(bytes, "it");
        expect(serializeChunkIndex(read)).toEqual(bytes);
        expect(treeId(read)).toBe(treeId(index));
      }),
    );
  });

  test("names a file by its chunks and a tree by its files", () => {
    const [file] = good.files;
    const id = digestHex(digestOf(`${a} 10\n${b} 20\n`));
    expect(file === undefined ? undefined : fileId(file)).toBe(id);
    const empty = digestHex(digestOf(""));
    expect(treeId(good)).toBe(digestHex(digestOf(`a\x0030\0${id}\nb/empty\x000\0${empty}\n`)));
  });

  test("names the same tree whatever its layers and claims", () => {
    const files = good.files.toReversed().map(({ path, size, chunks }) => ({
      path,
      size,
      chunks: chunks.map((chunk) => ({ ...chunk, layer: 1, offset: 7 })),
    }));
    expect(treeId({ files })).toBe(treeId(good));
  });
});

/** The good index with one thing wrong. */
function broken(change: (root: Root) => void): Buffer {
  const root = JSON.parse(serializeChunkIndex(good).toString()) as Root;
  change(root);
  return Buffer.from(JSON.stringify(root));
}
interface Root {
  schemaVersion: unknown;
  layers: unknown;
  files: unknown;
  [key: string]: unknown;
}
const withChunk = (...chunk: unknown[]) =>
  broken((root) => {
    root.files = [{ path: "x", size: 10, chunks: [chunk] }];
  });
const withFile = (file: unknown) =>
  broken((root) => {
    root.files = [file];
  });

describe("an index from outside is refused", () => {
  test.each<[string, Buffer, string]>([
    ["that is no object", Buffer.from("[]"), "is not an object"],
    ["of another version", broken((root) => (root.schemaVersion = 2)), "schemaVersion 2"],
    ["without a version", broken((root) => delete root.schemaVersion), "schemaVersion undefined"],
    ["without layers", broken((root) => delete root.layers), "layers is not a list"],
    [
      "with absurdly many layers",
      broken((root) => (root.layers = Array(indexLimits.layers + 1).fill(0))),
      "layers is not a list of at most 10000",
    ],
    ["without files", broken((root) => (root.files = {})), "files is not a list"],
    [
      "with absurdly many files",
      broken((root) => (root.files = Array(indexLimits.files + 1).fill(0))),
      "files is not a list of at most 1000000",
    ],
    ["with a layer that is none", broken((root) => (root.layers = [7])), "layer 0 is malformed"],
    [
      "with a layer of another algorithm",
      broken((root) => (root.layers = [{ digest: `sha512:${"0".repeat(128)}`, size: 1 }])),
      "layer 0 is malformed",
    ],
    [
      "with a layer of a negative size",
      broken((root) => (root.layers = [{ digest: l, size: -1 }])),
      "layer 0 is malformed",
    ],
    ["with a file that is none", withFile(null), "file 0: is not an object"],
    ["with a path that is no text", withFile({ path: 7, size: 0, chunks: [] }), "path is not"],
    ["with half a byte", withFile({ path: "x", size: 0.5, chunks: [] }), "size is not a whole"],
    ["with an unsafe size", withFile({ path: "x", size: 2 ** 53, chunks: [] }), "size is not"],
    [
      "with a file digest that is none",
      withFile({ path: "x", size: 0, digest: "md5:0", chunks: [] }),
      "digest is not a sha256 digest",
    ],
    ["without a chunk list", withFile({ path: "x", size: 0 }), "chunks is not a list"],
    ["whose sums lie", withFile({ path: "x", size: 9, chunks: [[a, 10, 0, 0]] }), "hold 10 bytes"],
    ["with a chunk of three values", withChunk(a, 10, 0), "a chunk is not"],
    [
      "with a chunk that is an object",
      withFile({ path: "x", size: 1, chunks: [{}] }),
      "a chunk is not",
    ],
    ["with a chunk digest that is none", withChunk("sha1:0", 10, 0, 0), 'chunk digest "sha1:0"'],
    ["with an empty chunk", withChunk(a, 0, 0, 0), "chunk size 0"],
    ["with a chunk above 32 MiB", withChunk(a, maxChunkBytes + 1, 0, 0), "chunk size 33554433"],
    ["with a chunk in no layer", withChunk(a, 10, 1, 0), "chunk layer 1"],
    ["with a chunk in layer -1", withChunk(a, 10, -1, 0), "chunk layer -1"],
    ['with a chunk in layer "length"', withChunk(a, 10, "length", 0), "chunk layer"],
    ["with a chunk that ends outside its layer", withChunk(a, 10, 0, 91), "ends outside layer 0"],
    ["with a chunk before its layer", withChunk(a, 10, 0, -1), "ends outside layer 0"],
    [
      "with one digest of two sizes",
      broken((root) => {
        root.files = [
          { path: "x", size: 10, chunks: [[a, 10, 0, 0]] },
          { path: "y", size: 11, chunks: [[a, 11, 0, 0]] },
        ];
      }),
      "has two sizes, 10 and 11",
    ],
    ["that nests absurdly", Buffer.from("[".repeat(100)), "nests deeper"],
  ])("%s", (_, bytes, why) => {
    const parse = () => parseChunkIndex(bytes, "index of x");
    expect(parse).toThrow(why);
    expect(parse).toThrow(/^index of x/);
    expect(parse).toThrow(expect.objectContaining({ code: "INVALID_INDEX" }));
  });

  test("that is absurdly large, without being parsed", () => {
    const bytes = Buffer.alloc(indexLimits.bytes + 1, "[");
    expect(() => parseChunkIndex(bytes, "it")).toThrow("more than the 134217728 allowed");
  });

  test.each([
    ["..", "../x"],
    ["absolute", "/etc/passwd"],
    ["NUL", "a\0b"],
    ["empty", ""],
    ["not NFC", "e\u0301"],
  ])("with a path that is %s", (_, path) => {
    const bytes = withFile({ path, size: 0, chunks: [] });
    expect(() => parseChunkIndex(bytes, "it")).toThrow(
      expect.objectContaining({ code: "INVALID_PATH" }),
    );
  });

  test("says when a newer Ballast may have written it", () => {
    const bytes = broken((root) => (root.schemaVersion = 2));
    expect(() => parseChunkIndex(bytes, "it")).toThrow(
      expect.objectContaining({ hint: expect.stringContaining("upgrade") as string }),
    );
  });

  test("never crashes on what it cannot read", () => {
    const value = fc.anything({ maxDepth: 3 }).filter((any) => JSON.stringify(any) !== undefined);
    const root = fc.record({ schemaVersion: fc.constant(1), layers: value, files: value });
    const digest: fc.Arbitrary<Digest> = fc.constantFrom(a, b);
    const almost = fc.record({
      schemaVersion: fc.constant(1),
      layers: fc.array(fc.record({ digest, size: fc.nat(50) })),
      files: fc.array(
        fc.record({
          path: fc.string(),
          size: fc.nat(30),
          chunks: fc.array(fc.tuple(digest, fc.nat(20), fc.nat(2), fc.nat(60))),
        }),
      ),
    });
    const parse = (any: unknown) => {
      try {
        parseChunkIndex(Buffer.from(toJson(any)), "it");
      } catch (error) {
        expect(error).toMatchObject({
          code: expect.stringMatching(/^INVALID_(INDEX|PATH)$/) as string,
        });
      }
    };
    fc.assert(fc.property(fc.oneof(root, almost), parse));
  });
});

function toJson(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) =>
    typeof each === "bigint" ? String(each) : each,
  );
}
