import { mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { openStore } from "../../src/store/store.ts";
import { originOf } from "../../src/store/store-paths.ts";
import { discard } from "../../src/store/trash.ts";
import { makeFolder, makeStore } from "../support/store-folders.ts";

const origin = originOf("registry.example.com/team/model");

describe("opening a store", () => {
  test("makes one where there is none, and removes its lock when it is closed", async () => {
    await using folder = await makeFolder();
    const root = join(folder.path, "new/store");
    const store = await openStore(root);
    await expect(openStore(root)).rejects.toMatchObject({ code: "STORE_LOCKED" });
    await store[Symbol.asyncDispose]();
    expect(await readFile(join(root, "VERSION"), "utf8")).toBe("1\n");
    expect(await readdir(root)).not.toContain("lock");
    await using _again = await openStore(root);
  });

  test("refuses the store of a newer Ballast and leaves it alone", async () => {
    await using folder = await makeFolder();
    await writeFile(join(folder.path, "VERSION"), "2\n");
    await expect(openStore(folder.path)).rejects.toMatchObject({ code: "STORE_VERSION" });
    expect(await readdir(folder.path)).toEqual(["VERSION"]);
  });

  test("refuses a folder that holds something else and leaves it alone", async () => {
    await using folder = await makeFolder();
    await writeFile(join(folder.path, "thesis.txt"), "important");
    await expect(openStore(folder.path)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining("thesis.txt"),
    });
    expect(await readdir(folder.path)).toEqual(["thesis.txt"]);
  });

  test.each([
    ["an interrupted creation", "VERSION.tmp-0123456789ab"],
    ["a killed contender for the lock", "lock.01234567"],
    ["a filesystem of its own", "lost+found"],
  ])("takes a folder that holds only what is left of %s", async (_, name) => {
    await using folder = await makeFolder();
    await writeFile(join(folder.path, name), "");
    await using store = await openStore(folder.path);
    expect(store.ledger.reservedBytes).toBe(0);
  });

  test("several that make the same new store at once agree on it", async () => {
    await using folder = await makeFolder();
    let owners = 0;
    const work = async () => {
      await using store = await openStore(join(folder.path, "store"), { wait: true });
      owners += 1;
      expect(owners).toBe(1);
      await store.writeBlob(Buffer.from("document"));
      owners -= 1;
    };
    await Promise.all(Array.from({ length: 8 }, work));
    expect(await readFile(join(folder.path, "store/VERSION"), "utf8")).toBe("1\n");
  });

  test("empties the trash, read-only folders too", async () => {
    await using folder = await makeFolder();
    const left = join(folder.path, "trash/0123/deep");
    await (await openStore(folder.path))[Symbol.asyncDispose]();
    await mkdir(left, { recursive: true });
    await writeFile(join(left, "file"), "x", { mode: 0o444 });
    await using store = await openStore(folder.path);
    expect(await readdir(store.paths.trash)).toEqual([]);
  });

  test("removes what a kill between commit and clean-up left of an unfinished file", async () => {
    await using folder = await makeFolder();
    await (await openStore(folder.path))[Symbol.asyncDispose]();
    const [over, going] = ["a", "b"].map((id) => join(folder.path, "ingest/key", id));
    await mkdir(over ?? "", { recursive: true });
    await mkdir(going ?? "", { recursive: true });
    await writeFile(join(over ?? "", "journal"), "");
    await writeFile(join(going ?? "", "data"), "");
    await using store = await openStore(folder.path);
    expect(await readdir(join(store.paths.ingest, "key"))).toEqual(["b"]);
  });

  test("keeps a reserve of space, and makes it again when it is gone", async () => {
    await using folder = await makeFolder();
    const size = async () => (await stat(join(folder.path, "reserve"))).size;
    await (await openStore(folder.path))[Symbol.asyncDispose]();
    expect(await size()).toBe(1_048_576);
    await rm(join(folder.path, "reserve"));
    await (await openStore(folder.path))[Symbol.asyncDispose]();
    expect(await size()).toBe(1_048_576);
  });
});

describe("an open store", () => {
  test("gives back the blobs it was given, but not rotten ones", async () => {
    await using store = await makeStore();
    const digest = await store.writeBlob(Buffer.from("manifest"));
    expect(await store.readBlob(digest)).toEqual(Buffer.from("manifest"));
    await writeFile(store.paths.blob(digest), "manifesT");
    expect(await store.readBlob(digest)).toBeUndefined();
    expect(await store.writeBlob(Buffer.from("manifest"))).toBe(digest);
    expect(await store.readBlob(digest)).toEqual(Buffer.from("manifest"));
  });

  test("gives a file to one claim at a time, per origin", async () => {
    await using store = await makeStore();
    const first = store.claim(origin, ["a", "b"]);
    const second = store.claim(origin, ["b", "c"]);
    const elsewhere = store.claim(originOf("registry.example.com/team/other"), ["a", "b"]);
    expect([...first.owned, ...second.owned, ...elsewhere.owned]).toEqual([
      "a",
      "b",
      "c",
      "a",
      "b",
    ]);
    first[Symbol.dispose]();
    await second.othersDone;
    const third = store.claim(origin, ["b"]);
    first[Symbol.dispose]();
    expect([...third.owned]).toEqual(["b"]);
    expect([...store.claim(origin, ["b"]).owned]).toEqual([]);
  });

  test("counts leases, each ended once", async () => {
    await using store = await makeStore();
    const manifest = digestOf("manifest");
    const first = await store.lease(origin, manifest);
    const second = await store.lease(origin, manifest);
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    expect(store.isLeased({ origin, manifest })).toBe(true);
    second[Symbol.dispose]();
    expect(store.isLeased({ origin, manifest })).toBe(false);
  });

  test("discards what is there and what is not", async () => {
    await using store = await makeStore();
    const path = join(store.paths.trees, "tree");
    await mkdir(join(path, "inside"), { recursive: true, mode: 0o555 });
    await discard(store.paths, path);
    await discard(store.paths, path);
    expect(await readdir(store.paths.trees)).toEqual([]);
    expect(await readdir(store.paths.trash)).toEqual([]);
  });
});
