import { readdir, rm, statfs, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { describeSystemError } from "../../src/core/system-error.ts";
import { collect } from "../../src/store/garbage.ts";
import { createLedger } from "../../src/store/ledger.ts";
import { openStore } from "../../src/store/store.ts";
import { makeFolder, mountTmpfs } from "../support/store-folders.ts";
import { bytesOf, makeModel, pullModel, serveModels, wrongFiles } from "../support/store-models.ts";

const name = "registry.example.com/team/model";
const mib = 1_048_576;

describe("the ledger", () => {
  test("promises no more than there is, less what it promised before", async () => {
    await using folder = await makeFolder();
    const ledger = createLedger(folder.path);
    const { bavail, bsize } = await statfs(folder.path);
    const half = Math.floor(bavail * bsize * 0.6);
    {
      using first = await ledger.reserve(half);
      expect(ledger.reservedBytes).toBe(half);
      await expect(ledger.reserve(half)).rejects.toMatchObject({
        code: "NO_SPACE",
        message: expect.stringMatching(new RegExp(`${half} bytes to write, \\d+ usable, ${half} `)),
      });
      first.spend(1000);
      expect(ledger.reservedBytes).toBe(half - 1000);
      first.spend(half);
      expect(ledger.reservedBytes).toBe(0);
    }
    using _second = await ledger.reserve(half);
    expect(ledger.reservedBytes).toBe(half);
  });

  test("gives back what was not spent, once", async () => {
    await using folder = await makeFolder();
    const ledger = createLedger(folder.path);
    const reservation = await ledger.reserve(1000);
    reservation.spend(400);
    reservation[Symbol.dispose]();
    reservation[Symbol.dispose]();
    expect(ledger.reservedBytes).toBe(0);
    using _nothing = await ledger.reserve(0);
  });
});

describe("a store on a small disk", () => {
  const model = makeModel({ "big.bin": bytesOf("big", 5 * mib), small: bytesOf("small", 5000) });

  test("refuses a model that does not fit before the first byte, with the numbers", async (context) => {
    const mounted = await mountTmpfs(4 * mib);
    if (typeof mounted === "string") return context.skip(mounted);
    await using fs = mounted;
    await using store = await openStore(join(fs.path, "store"));
    const source = serveModels(name, [model]);
    await expect(pullModel(store, model, { source })).rejects.toMatchObject({
      code: "NO_SPACE",
      message: expect.stringMatching(new RegExp(`${model.bytes} bytes to write, \\d+ usable`)),
    });
    expect(source.served.requests).toBe(0);
    expect(store.ledger.reservedBytes).toBe(0);
    return undefined;
  });

  test("that somebody else fills during a pull says so, shows nothing, and goes on later", async (context) => {
    const mounted = await mountTmpfs(12 * mib);
    if (typeof mounted === "string") return context.skip(mounted);
    await using fs = mounted;
    await using store = await openStore(join(fs.path, "store"));
    const other = join(fs.path, "other");
    let filled: Promise<void> | undefined;
    const source = serveModels(name, [model], {
      onPiece: async () => {
        if (source.served.bytes < 2 * mib) return;
        filled ??= fill(other);
        await filled;
      },
    });
    const failure: unknown = await pullModel(store, model, { source, connections: 1 }).catch(
      describeSystemError,
    );
    expect(failure).toMatchObject({ code: "NO_SPACE" });
    expect(await readdir(store.paths.files)).toEqual([]);
    expect(store.ledger.reservedBytes).toBe(0);
    await rm(other);
    const again = serveModels(name, [model]);
    const { tree } = await pullModel(store, model, { source: again });
    expect(await wrongFiles(tree, model)).toEqual([]);
    expect(again.served.bytes).toBeLessThan(4.5 * mib);
    return undefined;
  });

  test("that is full can still be opened, and a model be removed from it", async (context) => {
    const mounted = await mountTmpfs(12 * mib);
    if (typeof mounted === "string") return context.skip(mounted);
    await using fs = mounted;
    const root = join(fs.path, "store");
    {
      await using store = await openStore(root);
      await pullModel(store, model, { source: serveModels(name, [model]) });
    }
    await fill(join(fs.path, "other"));
    await using store = await openStore(root);
    const swept = await collect(store, { watermarks: { bytes: { high: 0, low: 0 } } });
    expect(swept.freedBytes).toBe(model.bytes);
    expect(await readdir(store.paths.files)).toEqual([]);
    expect(await readdir(root)).toContain("reserve");
    return undefined;
  });
});

/** Writes until there is no space left. */
async function fill(path: string): Promise<void> {
  const { bavail, bsize } = await statfs(join(path, ".."));
  await writeFile(path, Buffer.alloc(bavail * bsize + mib)).catch((error: unknown) => {
    expect(error).toMatchObject({ code: "ENOSPC" });
  });
}
