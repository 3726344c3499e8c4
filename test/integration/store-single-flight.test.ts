import { readdir } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { listRecords } from "../../src/store/model-record.ts";
import { makeStore } from "../support/store-folders.ts";
import {
  bytesOf,
  makeModel,
  pullModel,
  recordModel,
  serveModels,
  wrongFiles,
} from "../support/store-models.ts";

const name = "registry.example.com/team/model";
const shared = bytesOf("shared", 1_500_000);
const model = makeModel({ shared, "config.json": bytesOf("config", 300), empty: Buffer.alloc(0) });
const sibling = makeModel({ "other/name": shared, own: bytesOf("own", 200_000) });

describe("pulls of one store at the same time", () => {
  test("of one model fetch each byte once, fifty of them", async () => {
    await using store = await makeStore();
    const source = serveModels(name, [model]);
    const pulls = Array.from({ length: 50 }, () => pullModel(store, model, { source }));
    const done = await Promise.all(pulls);
    expect(source.served.bytes).toBe(model.bytes);
    expect(done.reduce((sum, { bytes }) => sum + bytes.moved, 0)).toBe(model.bytes);
    for (const { bytes } of done) expect(bytes.moved + bytes.reused).toBe(model.bytes);
    expect(await wrongFiles(done[0]?.tree ?? "", model)).toEqual([]);
    expect(store.ledger.reservedBytes).toBe(0);
    expect(await readdir(store.paths.trash)).toEqual([]);
  });

  test("of two models of one repository fetch the file they share once", async () => {
    await using store = await makeStore();
    const source = serveModels(name, [model, sibling]);
    const [first, second] = await Promise.all([
      pullModel(store, model, { source }),
      pullModel(store, sibling, { source }),
    ]);
    expect(await wrongFiles(first.tree, model)).toEqual([]);
    expect(await wrongFiles(second.tree, sibling)).toEqual([]);
    expect(source.served.bytes).toBe(model.bytes + 200_000);
    expect(await listRecords(store.paths)).toHaveLength(2);
  });

  test("of repositories that do not trust each other each prove that they may read", async () => {
    await using store = await makeStore();
    const repacked = makeModel(Object.fromEntries(model.files), { layerBytes: 300_000 });
    const sources = [
      serveModels(name, [model]),
      serveModels("mirror.example.com/team/model", [repacked]),
    ] as const;
    await Promise.all([
      pullModel(store, model, { source: sources[0] }),
      pullModel(store, repacked, { source: sources[1] }),
    ]);
    for (const source of sources) expect(source.served.bytes).toBe(model.bytes);
    expect(await readdir(store.paths.files)).toHaveLength(3);
  });

  test("go on when the one that fetches fails: another takes over what is missing", async () => {
    await using store = await makeStore();
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    const { promise: joined, resolve: join } = Promise.withResolvers<void>();
    const failing = serveModels(name, [model], {
      onPiece: async () => {
        resolve();
        await joined;
        if (failing.served.bytes > 600_000) throw new Error("the line is cut");
      },
    });
    const first = pullModel(store, model, { source: failing });
    await begun;
    const source = serveModels(name, [model]);
    const others = Array.from({ length: 5 }, () => pullModel(store, model, { source }));
    join();
    await expect(first).rejects.toThrow("the line is cut");
    for (const { tree } of await Promise.all(others))
      expect(await wrongFiles(tree, model)).toEqual([]);
    expect(source.served.bytes).toBeLessThanOrEqual(model.bytes);
    expect(store.ledger.reservedBytes).toBe(0);
  });

  test("that only wait end when their signal aborts, and leave the others alone", async () => {
    await using store = await makeStore();
    const { promise: begun, resolve } = Promise.withResolvers<void>();
    const { promise: go, resolve: release } = Promise.withResolvers<void>();
    const source = serveModels(name, [model], {
      onPiece: () => {
        resolve();
        return go;
      },
    });
    const first = pullModel(store, model, { source });
    await begun;
    const stop = new AbortController();
    const waiting = pullModel(store, model, { source, signal: stop.signal });
    stop.abort(new Error("no longer wanted"));
    await expect(waiting).rejects.toThrow("no longer wanted");
    release();
    expect(await wrongFiles((await first).tree, model)).toEqual([]);
    expect(source.served.bytes).toBe(model.bytes);
  });

  test("that are aborted keep what was verified, give back their space and can be repeated", async () => {
    await using store = await makeStore();
    const stop = new AbortController();
    const source = serveModels(name, [model], {
      onPiece: () => {
        if (source.served.bytes > 1_200_000) stop.abort(new Error("stop"));
      },
    });
    const pulling = pullModel(store, model, { source, signal: stop.signal, connections: 1 });
    await expect(pulling).rejects.toThrow("stop");
    expect(store.ledger.reservedBytes).toBe(0);
    const again = serveModels(name, [model]);
    const { tree, bytes } = await pullModel(store, model, { source: again });
    expect(await wrongFiles(tree, model)).toEqual([]);
    expect(again.served.bytes).toBeLessThan(600_000);
    expect(bytes.moved + bytes.reused).toBe(model.bytes);
  });

  test("hold a lease each, so that nothing they need is collected", async () => {
    await using store = await makeStore();
    const source = serveModels(name, [model], {
      onPiece: () => {
        expect(store.isLeased(record)).toBe(true);
      },
    });
    const record = await recordModel(store, name, model);
    await pullModel(store, model, { source });
    expect(store.isLeased(record)).toBe(false);
  });
});
