import {
  chmod,
  mkdir,
  readdir,
  readFile,
  rmdir,
  stat,
  truncate,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { grantedFiles } from "../../src/store/model-record.ts";
import type { Store } from "../../src/store/store.ts";
import { listSelections } from "../../src/store/tree.ts";
import { makeStore } from "../support/store-folders.ts";
import {
  bytesOf,
  describeModel,
  idOf,
  makeModel,
  pullModel,
  recordModel,
  serveModels,
  type TestModel,
  wrongFiles,
} from "../support/store-models.ts";

const own = "registry.example.com/team/model";
const neighbour = "registry.example.com/other/model";
const elsewhere = "mirror.example.com/team/model";

const big = bytesOf("big", 3_000_000);
const model = makeModel({ "big.bin": big, "config.json": bytesOf("config", 500) });

async function pull(store: Store, name: string, wanted: TestModel, held: TestModel = wanted) {
  const source = serveModels(name, [held]);
  const pulled = await pullModel(store, wanted, { source });
  expect(await wrongFiles(pulled.tree, wanted)).toEqual([]);
  return { ...pulled, fetched: source.served.bytes };
}

/** The same bytes in the same chunks, in other layers. */
const repacked = makeModel(
  { "big.bin": big, "config.json": bytesOf("config", 500) },
  { layerBytes: 400_000 },
);

describe("what is fetched", () => {
  test("is nothing when the model is here", async () => {
    await using store = await makeStore();
    expect((await pull(store, own, model)).fetched).toBe(model.bytes);
    const again = await pull(store, own, model);
    expect(again.fetched).toBe(0);
    expect(again.bytes).toEqual({ moved: 0, reused: model.bytes });
  });

  test("does not grow the record of what is here with each pull", async () => {
    await using store = await makeStore();
    const { origin } = await pull(store, own, model);
    const folder = join(store.paths.grants, origin.host, origin.repository, "_models");
    const sizes = async () =>
      Promise.all(
        (await readdir(folder)).map(async (name) => (await stat(join(folder, name))).size),
      );
    const before = await sizes();
    await pull(store, own, model);
    expect(await sizes()).toEqual(before);
  });

  test("inside one repository is only what no model of it has, wherever a chunk lies", async () => {
    await using store = await makeStore();
    await pull(store, own, model);
    const changed = Buffer.concat([bytesOf("new head", 65_536), big]);
    const next = makeModel({ "moved/big.bin": changed }, { layerBytes: 700_000 });
    expect((await pull(store, own, next)).fetched).toBe(65_536);
  });

  test("inside one repository is nothing when other layers hold the same chunks", async () => {
    await using store = await makeStore();
    await pull(store, own, model);
    expect((await pull(store, own, repacked)).fetched).toBe(0);
  });

  test("from another repository of the host is what the new manifest's layers do not vouch for", async () => {
    await using store = await makeStore();
    await pull(store, own, model);
    expect((await pull(store, neighbour, model)).fetched).toBe(0);
    expect((await pull(store, "registry.example.com/third/model", repacked)).fetched).toBe(
      repacked.bytes,
    );
  });

  test("from another repository of the host is reused chunk by chunk where a layer is shared", async () => {
    await using store = await makeStore();
    const head = bytesOf("head", 1_048_576);
    await pull(store, own, makeModel({ "a.bin": head }));
    const next = makeModel({ "b.bin": Buffer.concat([head, bytesOf("tail", 500_000)]) });
    expect((await pull(store, neighbour, next)).fetched).toBe(500_000);
  });

  test("from another repository of the host is not reused beside a layer that is shared", async () => {
    await using store = await makeStore();
    const [first, second] = [bytesOf("first", 1_048_576), bytesOf("second", 1_048_576)];
    await pull(store, own, makeModel({ first, second }));
    const next = makeModel({ first, other: bytesOf("other", 65_536), second });
    expect((await pull(store, neighbour, next)).fetched).toBe(65_536 + 1_048_576);
  });

  test("from another host is everything, and then linked to the inode that is there", async () => {
    await using store = await makeStore();
    const first = await pull(store, own, model);
    const second = await pull(store, elsewhere, model);
    expect(second.fetched).toBe(model.bytes);
    for (const path of model.files.keys()) {
      const { ino } = await stat(store.paths.file(idOf(model, path)));
      for (const { tree } of [first, second]) expect((await stat(join(tree, path))).ino).toBe(ino);
    }
    expect(await readdir(store.paths.files)).toHaveLength(2);
    const grants = await grantedFiles(store.paths, second.record);
    expect([...grants].sort()).toEqual((await readdir(store.paths.files)).sort());
  });

  test("leaves out what an interrupted pull of another model of the repository verified", async () => {
    await using store = await makeStore();
    const source = serveModels(own, [model], {
      onPiece: () => {
        if (source.served.bytes > 2_200_000) throw new Error("the line is cut");
      },
    });
    const cut = pullModel(store, model, { source, connections: 1 });
    await expect(cut).rejects.toThrow("the line is cut");
    const renamed = makeModel({ "other.bin": Buffer.concat([big, bytesOf("more", 100)]) });
    expect((await pull(store, own, renamed)).fetched).toBeLessThan(1_200_000);
  });
});

test("a file is granted before it appears: a kill in between costs no second download", async () => {
  await using store = await makeStore();
  const id = idOf(model, "big.bin");
  await mkdir(store.paths.file(id));
  const source = serveModels(own, [model]);
  await expect(pullModel(store, model, { source })).rejects.toMatchObject({ code: "EISDIR" });
  const record = await recordModel(store, own, model);
  expect([...(await grantedFiles(store.paths, record))]).toEqual([id]);
  await rmdir(store.paths.file(id));
  const { tree } = await pullModel(store, model, { source });
  expect(await wrongFiles(tree, model)).toEqual([]);
  expect(source.served.bytes).toBe(model.bytes);
});

describe("an index that lies", () => {
  /** Claims the victim's files, chunk by chunk, in a layer of its own. */
  function claimVictim(): { claim: TestModel; layer: Buffer } {
    const layer = bytesOf("worthless", model.bytes);
    let offset = 0;
    const files = model.index.files.map((file) => ({
      ...file,
      chunks: file.chunks.map((chunk) => {
        offset += chunk.size;
        return { ...chunk, layer: 0, offset: offset - chunk.size };
      }),
    }));
    const digest = digestOf(layer);
    const layers = [{ digest, size: layer.byteLength }];
    const content = { files: {}, layers: new Map([[digest, layer]]) };
    return { claim: describeModel({ layers, files }, content), layer };
  }

  test.each([
    ["of the same host", neighbour],
    ["of another host", elsewhere],
  ])("about another repository's files gains nothing, %s", async (_, name) => {
    await using store = await makeStore();
    await pull(store, own, model);
    const { claim } = claimVictim();
    const source = serveModels(name, [claim]);
    await expect(pullModel(store, claim, { source })).rejects.toMatchObject({
      code: "DIGEST_MISMATCH",
      message: expect.stringContaining(name),
    });
    const record = await recordModel(store, name, claim);
    expect([...(await grantedFiles(store.paths, record))]).toEqual([]);
    // The victim has the same tree id; its tree stands, the liar's pull got no path to it.
    expect(await listSelections(store.paths, record.treeId)).toEqual(["all"]);
    await expect(pullModel(store, claim, { source })).rejects.toMatchObject({
      code: "DIGEST_MISMATCH",
    });
    const third = makeModel({ stolen: big }, { layerBytes: 400_000 });
    expect((await pull(store, name, third)).fetched).toBe(big.byteLength);
  });

  test("asks three times for wrong bytes, keeps what was right, shows nothing", async () => {
    await using store = await makeStore();
    const good = bytesOf("good", 65_536);
    const wanted = makeModel({ "a.bin": Buffer.concat([good, bytesOf("expected", 65_536)]) });
    const [layer] = wanted.index.layers;
    if (layer === undefined) throw new Error("no layer");
    const wrong = Buffer.concat([good, bytesOf("served", 65_536)]);
    const source = serveModels(own, [{ ...wanted, layers: new Map([[layer.digest, wrong]]) }]);
    await expect(pullModel(store, wanted, { source })).rejects.toMatchObject({
      code: "DIGEST_MISMATCH",
      retryable: true,
    });
    expect(source.served.bytes).toBe(4 * 65_536);
    expect(await readdir(store.paths.files)).toEqual([]);
    expect(await readdir(store.paths.trees)).toEqual([]);
    expect((await pull(store, own, wanted)).fetched).toBe(65_536);
  });
});

describe("a file of the store that has rotted", () => {
  const next = makeModel({ "big.bin": Buffer.concat([big, bytesOf("more", 70_000)]) });

  test.each([
    [
      "other bytes",
      async (path: string) => {
        const bytes = await readFile(path);
        bytes.writeUInt8(bytes.readUInt8(100_000) ^ 1, 100_000);
        await writeFile(path, bytes);
      },
    ],
    ["fewer bytes", (path: string) => truncate(path, 100_000)],
  ])("with %s is no donor, goes to quarantine and is fetched again", async (_, rot) => {
    await using store = await makeStore();
    const first = await pull(store, own, model);
    const id = idOf(model, "big.bin");
    await chmod(store.paths.file(id), 0o644);
    await rot(store.paths.file(id));
    const warnings: string[] = [];
    const source = serveModels(own, [next]);
    const pulled = await pullModel(store, next, {
      source,
      onProgress: (event) => event.type === "warning" && warnings.push(event.message),
    });
    expect(await wrongFiles(pulled.tree, next)).toEqual([]);
    expect(source.served.bytes).toBeGreaterThan(0);
    expect(warnings.join()).toContain(id);
    expect(await readdir(store.paths.quarantine)).toEqual([id]);
    expect(await readdir(store.paths.files)).not.toContain(id);
    expect(await listSelections(store.paths, first.record.treeId)).toEqual([]);
    expect((await pull(store, own, model)).bytes.moved).toBeLessThan(model.bytes);
  });
});
