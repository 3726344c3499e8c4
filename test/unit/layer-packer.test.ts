import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type ChunkIndex,
  parseChunkIndex,
  serializeChunkIndex,
} from "../../src/core/chunk-index.ts";
import { type Digest, digestOf } from "../../src/core/digest.ts";
import { openReadingThreads } from "../../src/pack/chunk-reader.ts";
import { createHashThread, type HashThread } from "../../src/pack/hash-thread.ts";
import { LayerPacker, type LayerPackerOptions } from "../../src/pack/layer-packer.ts";
import { maxLayerBytes, maxManifestLayers } from "../../src/pack/layer-rules.ts";
import type { FreshLayer } from "../../src/pack/open-layer.ts";
import type { ReadChunk, ReadingThreads } from "../../src/pack/read-jobs.ts";
import type { SourceFile } from "../../src/source/source.ts";

/** Layers around 100 bytes instead of 32 MiB: the rules are the same. */
const target = 100;

let hashThread: HashThread;
let threads: ReadingThreads;
beforeAll(() => {
  hashThread = createHashThread();
  threads = openReadingThreads(1);
});
afterAll(async () => {
  await hashThread[Symbol.asyncDispose]();
  await threads[Symbol.asyncDispose]();
});

/** A model as file names with the texts of their chunks. */
type Model = Readonly<Record<string, readonly string[]>>;

interface Packed {
  readonly index: ChunkIndex;
  readonly baseBytes: number;
  readonly layers: readonly FreshLayer[];
  /** Chunks whose memory was not given back once every layer was released. */
  readonly held: number;
}

async function pack(
  model: Model,
  options: Partial<LayerPackerOptions> & { readonly known?: boolean } = {},
): Promise<Packed> {
  const layers: FreshLayer[] = [];
  const chunks = readModel(model);
  const packer = new LayerPacker({
    target,
    holdBytes: true,
    threads,
    hashThread,
    base: undefined,
    canUse: () => Promise.resolve(true),
    onLayer: (layer) => layers.push(layer),
    ...options,
  });
  if (options.known === true) {
    const seen = new Set<Digest>();
    const fresh: ReadChunk[] = [];
    for (const chunk of chunks.all) {
      const taken = await packer.addKnown(chunk);
      if (taken === "fresh" && !seen.has(chunk.digest)) fresh.push(chunk);
      else chunk.release();
      seen.add(chunk.digest);
    }
    for (const chunk of fresh) await packer.repack(chunk);
  } else for (const chunk of chunks.all) await packer.add(chunk);
  for (const slice of packer.chunksToRepack()) await packer.repack(chunks.again(slice));
  const { index, baseBytes } = await packer.finish(chunks.files);
  for (const layer of layers) layer.release();
  return { index, baseBytes, layers, held: chunks.held() };
}

function readModel(model: Model) {
  let held = 0;
  const toChunk = (file: SourceFile, offset: number, text: string): ReadChunk => {
    const bytes = new Uint8Array(new SharedArrayBuffer(text.length));
    bytes.set(Buffer.from(text));
    held += 1;
    const release = () => void (held -= 1);
    return { file, offset, size: text.length, digest: digestOf(text), bytes: [bytes], release };
  };
  const files: SourceFile[] = [];
  const all: ReadChunk[] = [];
  const texts = new Map<Digest, string>();
  for (const [path, pieces] of Object.entries(model)) {
    const size = pieces.reduce((sum, text) => sum + text.length, 0);
    const stamp = {} as SourceFile["stamp"];
    const file = { path, size, location: `/${path}`, stamp };
    files.push(file);
    let offset = 0;
    for (const text of pieces) {
      texts.set(digestOf(text), text);
      all.push(toChunk(file, offset, text));
      offset += text.length;
    }
  }
  const again = ({ file, offset, digest }: Pick<ReadChunk, "file" | "offset" | "digest">) =>
    toChunk(file, offset, texts.get(digest) ?? "");
  return { files, all, again, held: () => held };
}

/** What the index says each file is, read from the layers it names. */
function unpack({ index, layers }: Packed, more: readonly Packed[] = []): Model {
  const blobs = new Map<Digest, string>();
  for (const each of [...layers, ...more.flatMap((packed) => packed.layers)]) {
    const text = Buffer.concat((each.held ?? []).flat()).toString();
    blobs.set(digestOf(text), text);
  }
  return Object.fromEntries(
    index.files.map(({ path, chunks }) => [
      path,
      chunks.map(({ layer, offset, size }) => {
        const blob = blobs.get(index.layers[layer]?.digest ?? digestOf("none"));
        return blob?.slice(offset, offset + size) ?? "";
      }),
    ]),
  );
}

const text = (seed: string, size: number) =>
  seed.repeat(Math.ceil(size / seed.length)).slice(0, size);
const model: fc.Arbitrary<Model> = fc.dictionary(
  fc.stringMatching(/^[a-z]{1,3}$/),
  fc.array(
    fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 100 })).map(([n, size]) => text(`<${n}>`, size)),
    { maxLength: 12 },
  ),
  { minKeys: 1, maxKeys: 5 },
);

describe("a model laid into layers", () => {
  test("reads back from them, each distinct chunk once, no layer beyond its limit", async () => {
    await fc.assert(
      fc.asyncProperty(model, async (files) => {
        const packed = await pack(files);
        expect(unpack(packed)).toEqual({ ...files });
        const distinct = new Set(Object.values(files).flat());
        const bytes = [...distinct].reduce((sum, each) => sum + each.length, 0);
        expect(packed.layers.reduce((sum, each) => sum + each.size, 0)).toBe(bytes);
        expect(Math.max(0, ...packed.layers.map((each) => each.size))).toBeLessThanOrEqual(
          maxLayerBytes(target),
        );
        expect(packed.held).toBe(0);
        const parsed = parseChunkIndex(serializeChunkIndex(packed.index), "it");
        expect(serializeChunkIndex(parsed)).toEqual(serializeChunkIndex(packed.index));
      }),
      { numRuns: 60 },
    );
  });

  test("is the same whether bytes are held, hashed as they come, or known before", async () => {
    await fc.assert(
      fc.asyncProperty(model, async (files) => {
        const held = await pack(files);
        expect((await pack(files, { holdBytes: false })).index).toEqual(held.index);
        expect((await pack(files, { known: true })).index).toEqual(held.index);
      }),
      { numRuns: 30 },
    );
  });

  test("onto itself is itself, and nothing is new", async () => {
    await fc.assert(
      fc.asyncProperty(model, async (files) => {
        const first = await pack(files);
        const second = await pack(files, { base: first.index });
        expect(second.index).toEqual(first.index);
        expect(second.layers).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });

  test("onto another one reads back, and costs what is new and at most 5 % more", async () => {
    await fc.assert(
      fc.asyncProperty(model, model, async (before, after) => {
        const base = await pack(before);
        const packed = await pack(after, { base: base.index });
        expect(unpack(packed, [base])).toEqual({ ...after });
        const known = new Set(Object.values(before).flat());
        const fresh = new Set(
          Object.values(after)
            .flat()
            .filter((each) => !known.has(each)),
        );
        const bytes = [...fresh].reduce((sum, each) => sum + each.length, 0);
        const moved = packed.layers.reduce((sum, each) => sum + each.size, 0);
        expect(moved).toBeLessThanOrEqual(bytes * 1.05);
        expect(moved).toBeGreaterThanOrEqual(bytes);
        expect(packed.held).toBe(0);
        const again = await pack(after, { base: packed.index });
        expect(again.index).toEqual(packed.index);
      }),
      { numRuns: 60 },
    );
  });

  test("onto a base whose layers are gone is packed anew", async () => {
    const files = { a: [text("a", 90), text("b", 90)], b: [text("c", 90)] };
    const base = await pack(files);
    const asked: Digest[] = [];
    const canUse = (layer: Digest) => {
      asked.push(layer);
      return Promise.resolve(false);
    };
    const packed = await pack(files, { base: base.index, canUse });
    expect(packed.index).toEqual(base.index);
    expect(packed.layers.length).toBe(base.layers.length);
    expect(packed.baseBytes).toBe(0);
    expect(asked).toEqual([...new Set(asked)]);
  });

  test("lists the layers of its base that it uses, and no others", async () => {
    const [a, b, c] = [text("a", 100), text("b", 100), text("c", 100)];
    const base = await pack({ x: [a, b, c] });
    expect(base.index.layers).toHaveLength(3);
    const packed = await pack({ x: [c, a] }, { base: base.index });
    expect(packed.index.layers).toEqual([base.index.layers[0], base.index.layers[2]]);
    expect(packed.baseBytes).toBe(200);
  });

  test("leaves mostly dead layers of its base behind when much moves anyway", async () => {
    const live = text("live", 4);
    const small = [live, ...Array.from({ length: 4 }, (_, at) => text(`dead${at}`, 6))];
    const base = await pack({ x: small });
    const packed = await pack({ x: [live, text("new", 80)] }, { base: base.index });
    expect(packed.baseBytes).toBe(0);
    expect(packed.index.layers).not.toContainEqual(base.index.layers[0]);
    expect(unpack(packed)).toEqual({ x: [live, text("new", 80)] });
  });

  test("keeps the limit of layers, however many its base has", async () => {
    const pieces = Array.from({ length: maxManifestLayers + 50 }, (_, at) =>
      text(`piece ${at} `, 50),
    );
    // A base with a layer for each chunk, as many small pushes would leave it.
    const base: ChunkIndex = {
      layers: pieces.map((piece) => ({ digest: digestOf(piece), size: piece.length })),
      files: [
        {
          path: "x",
          size: pieces.length * 50,
          chunks: pieces.map((piece, layer) => ({
            digest: digestOf(piece),
            size: 50,
            layer,
            offset: 0,
          })),
        },
      ],
    };
    const packed = await pack({ x: pieces }, { base });
    expect(packed.index.layers.length + 1).toBeLessThanOrEqual(maxManifestLayers);
    expect(packed.layers.length).toBeGreaterThan(0);
    expect((await pack({ x: pieces }, { base: packed.index })).index).toEqual(packed.index);
  });

  test("states the digest of a file only where it costs nothing", async () => {
    const { index } = await pack({ empty: [], one: ["abc"], two: ["abc", "def"] });
    expect(index.files.map((file) => file.digest)).toEqual([undefined, digestOf("abc"), undefined]);
  });

  test.each([true, false])("rejects when a layer cannot be hashed, held: %s", async (holdBytes) => {
    const noThread = () => Promise.reject(new Error("no thread"));
    const nothing = { [Symbol.asyncDispose]: () => Promise.resolve() };
    const stopped = {
      holdBytes,
      threads: { ...nothing, ask: noThread },
      hashThread: {
        ...nothing,
        createLayerHasher: () => ({ ...nothing, update: noThread, digest: noThread }),
      },
    };
    const packing = pack({ x: [text("a", 30), text("b", 30), text("c", 30)] }, stopped);
    await expect(packing).rejects.toThrow("no thread");
  });
});
