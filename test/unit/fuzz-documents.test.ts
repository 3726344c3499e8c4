import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  fileId,
  maxChunkBytes,
  parseChunkIndex,
  serializeChunkIndex,
  treeId,
} from "../../src/core/chunk-index.ts";
import { digestOf } from "../../src/core/digest.ts";
import { parseLayoutIndex, serializeLayoutIndex } from "../../src/oci/layout/layout-index.ts";
import { emptyConfig, parseManifest, serializeManifest } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { journalHeader, journalRecord, parseJournal } from "../../src/store/journal.ts";
import { fuzzRuns, mutated, mutatedJson, parsedOrRefused } from "../support/fuzz.ts";

const [a, b, c] = [digestOf("a"), digestOf("b"), digestOf("c")];
const layers = [
  { digest: a, size: 1000 },
  { digest: b, size: maxChunkBytes },
];
const index = {
  schemaVersion: 1,
  chunking: { rules: 1, target: maxChunkBytes },
  layers,
  files: [
    {
      path: "a.bin",
      size: 30,
      digest: c,
      chunks: [
        [a, 10, 0, 0],
        [b, 20, 0, 980],
      ],
    },
    { path: "sub/b", size: maxChunkBytes, chunks: [[c, maxChunkBytes, 1, 0]] },
    { path: "sub/empty", size: 0, chunks: [] },
  ],
};

const layer = { mediaType: mediaTypes.layer, digest: a, size: 1000 };
const manifest = {
  schemaVersion: 2,
  mediaType: mediaTypes.imageManifest,
  artifactType: mediaTypes.model,
  config: emptyConfig,
  layers: [{ mediaType: mediaTypes.chunkIndex, digest: b, size: 2 }, layer],
  subject: layer,
  annotations: { "org.example.title": "x", "": "y" },
};
const layoutIndex = {
  schemaVersion: 2,
  manifests: [
    { ...layer, annotations: { "org.opencontainers.image.ref.name": "v1" }, more: [1] },
    { ...layer, digest: b, platform: { os: "linux" } },
  ],
};

/** Whatever may stand where a document is expected. */
function hostile(document: unknown): fc.Arbitrary<Buffer> {
  const text = JSON.stringify(document);
  return fc.oneof(
    { arbitrary: mutatedJson([document]), weight: 4 },
    { arbitrary: mutated([text]), weight: 4 },
    fc.json().map((json) => Buffer.from(json)),
    fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
  );
}

describe("whatever bytes it is given", () => {
  test("the reader of an index gives one that is whole, or refuses", () => {
    fc.assert(
      fc.property(hostile(index), (bytes) => {
        const read = parsedOrRefused(
          () => parseChunkIndex(bytes, "it"),
          "INVALID_INDEX",
          "INVALID_PATH",
        );
        if (read === undefined) return;
        for (const { size, chunks } of read.files) {
          expect(chunks.reduce((sum, chunk) => sum + chunk.size, 0)).toBe(size);
          for (const chunk of chunks)
            expect(chunk.offset + chunk.size).toBeLessThanOrEqual(
              read.layers[chunk.layer]?.size ?? -1,
            );
        }
        const written = serializeChunkIndex(read);
        const again = parseChunkIndex(written, "it");
        expect(serializeChunkIndex(again)).toEqual(written);
        expect(treeId(again)).toBe(treeId(read));
        expect(again.files.map(fileId).sort()).toEqual(read.files.map(fileId).sort());
      }),
      fuzzRuns(3000),
    );
  });

  test("the reader of a manifest gives one, or refuses", () => {
    fc.assert(
      fc.property(hostile(manifest), (bytes) => {
        const read = parsedOrRefused(
          () => parseManifest(bytes, "it"),
          "INVALID_MANIFEST",
          "UNSUPPORTED_ARTIFACT",
        );
        if (read === undefined) return;
        const written = serializeManifest(read);
        expect(serializeManifest(parseManifest(written, "it"))).toEqual(written);
        for (const text of Object.values(read.annotations ?? {})) expect(text).toBeTypeOf("string");
      }),
      fuzzRuns(3000),
    );
  });

  test("the reader of a layout's index gives one that is written as it was, or refuses", () => {
    fc.assert(
      fc.property(hostile(layoutIndex), (bytes) => {
        const read = parsedOrRefused(() => parseLayoutIndex(bytes, "it"), "INVALID_MANIFEST");
        if (read === undefined) return;
        const written = serializeLayoutIndex(read);
        expect(serializeLayoutIndex(parseLayoutIndex(Buffer.from(written), "it"))).toEqual(written);
      }),
      fuzzRuns(2000),
    );
  });

  test("the reader of a journal gives numbers of chunks, or says that it is none", () => {
    const written = journalHeader("boot") + [0, 1, 2, 70, 999_999_999].map(journalRecord).join("");
    const other = journalHeader(undefined) + journalRecord(5);
    const lines = [journalHeader("x"), journalRecord(7), "\n", " 00000000\n", "-1 ", "1e3 "];
    const mixed = fc
      .array(fc.constantFrom(...lines), { minLength: 1 })
      .map((all) => Buffer.from(journalHeader("boot") + all.join("")));
    const texts = fc.oneof(mutated([written, other], lines), mixed, fc.uint8Array());
    fc.assert(
      fc.property(texts, (bytes) => {
        const read = parseJournal(Buffer.from(bytes).toString());
        for (const chunk of read?.chunks ?? []) {
          expect(Number.isInteger(chunk)).toBe(true);
          expect(chunk >= 0 && chunk <= 999_999_999).toBe(true);
        }
        expect(read?.chunks.length ?? 0).toBeLessThanOrEqual(bytes.length / 10);
      }),
      fuzzRuns(3000),
    );
  });
});

/** Documents as large as anybody reads, of one thing again and again. */
const huge: [string, Buffer][] = [
  ["open lists", Buffer.alloc(4_000_000, "[")],
  ["empty lists", listOf("[]", 4_000_000)],
  ["empty objects", listOf("{}", 4_000_000)],
  ["numbers", listOf("1", 4_000_000)],
  ["a number", Buffer.alloc(4_000_000, "9")],
  ["a string", Buffer.from(`"${"x".repeat(4_000_000)}"`)],
  ["escapes", Buffer.from(`"${"\\u0041".repeat(600_000)}"`)],
  ["quotes", Buffer.alloc(4_000_000, '"')],
  ["backslashes", Buffer.from(`"${"\\".repeat(4_000_000)}"`)],
  ["names", Buffer.from(`{${Array.from({ length: 300_000 }, (_, at) => `"${at}":0`).join()}}`)],
  ["one name", Buffer.from(`{${'"a":0,'.repeat(600_000)}"a":0}`)],
  ["spaces", Buffer.alloc(4_000_000, " ")],
];

function listOf(item: string, bytes: number): Buffer {
  const text = `${item},`.repeat(Math.floor(bytes / (item.length + 1)));
  return Buffer.from(`[${text}${item}]`);
}

describe("a huge document", () => {
  test.each(huge)("of %s is refused in good time", (_, bytes) => {
    parsedOrRefused(() => parseLayoutIndex(bytes, "it"), "INVALID_MANIFEST");
    for (const parse of [parseChunkIndex, parseManifest])
      expect(
        parsedOrRefused(() => parse(bytes, "it"), "INVALID_INDEX", "INVALID_MANIFEST"),
      ).toBeUndefined();
    expect(parseJournal(bytes.toString("latin1"))).toBeUndefined();
  });

  test.each([
    ["letters", "x".repeat(4_000_000)],
    ["accents", `a${"\u0315\u0300".repeat(400_000)}`],
    ["slashes", "/".repeat(4_000_000)],
    ["folders", "a/".repeat(2_000_000)],
  ])("whose path is of many %s is refused in good time", (_, path) => {
    const files = [{ path, size: 0, chunks: [] }];
    const bytes = Buffer.from(JSON.stringify({ ...index, files }));
    expect(parsedOrRefused(() => parseChunkIndex(bytes, "it"), "INVALID_PATH")).toBeUndefined();
  });
});
