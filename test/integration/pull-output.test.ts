import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import {
  type FileHandle,
  link,
  mkdir,
  open,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  unlink,
  writeFile,
} from "node:fs/promises";
import { join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import type { ProgressEvent } from "../../src/core/progress.ts";
import { type PullOptions, type PullResult, pull } from "../../src/model/pull.ts";
import { push } from "../../src/model/push.ts";
import { startLibraryProcess } from "../support/library-process.ts";
import {
  countProgress,
  openWorkplace,
  readTree,
  seededBytes,
  snapshot,
  type Workplace,
} from "../support/workplace.ts";

let place: Workplace;
let source: string;
let reference: string;

beforeEach(async () => {
  place = await openWorkplace();
  source = await place.writeModel();
  reference = place.ref("team/model:v1");
  await push({ source, reference });
  place.requests.length = 0;
});
afterEach(async () => place[Symbol.asyncDispose]());

const out = (...names: string[]) => place.inside("out", ...names);
const store = () => place.inside("store");
const fetchInto = (options: Partial<PullOptions> = {}): Promise<PullResult> =>
  pull({ reference, output: out(), ...options });
const blobReads = () => place.requests.filter((line) => /^GET .*\/blobs\//.test(line));
const mebi = 1_048_576;

/** Hears of each file and folder that this process syncs, until it is disposed. */
async function watchSyncs(onSync: (path: string) => void): Promise<Disposable> {
  await using handle = await open(place.path, "r");
  const prototype = Object.getPrototypeOf(handle) as FileHandle;
  const sync: (this: FileHandle) => Promise<void> = Reflect.get(prototype, "sync");
  const spy = vi.spyOn(prototype, "sync").mockImplementation(async function (this: FileHandle) {
    await sync.call(this);
    onSync(readlinkSync(`/proc/self/fd/${this.fd}`));
  });
  return { [Symbol.dispose]: () => spy.mockRestore() };
}

describe("a pull into a folder", () => {
  test("writes the files, writable, and little else", async () => {
    const counted = countProgress();
    const { onProgress } = counted;
    const { path, bytes } = await fetchInto({ onProgress });
    expect(path).toBe(out());
    expect(await readTree(path)).toEqual(await readTree(source));
    expect((await stat(out("config.json"))).mode & 0o777).toBe(0o644);
    for (const { bytes: sum, fileSize } of counted.files.values()) expect(sum).toBe(fileSize);
    expect(bytes.moved).toBe(bytes.total);
    const state = await readTree(out(".ballast"), () => false);
    expect(Object.keys(state).filter((name) => !name.startsWith("blobs/"))).toEqual([
      "VERSION",
      "pulled.json",
    ]);
    await push({ source: out(), reference: place.ref("copy:v1") });
    const copy = await pull({ reference: place.ref("copy:v1"), store: store() });
    expect(copy.treeId).toBe((await fetchInto()).treeId);
  });

  test.each<[string, Partial<PullOptions>]>([
    ["moved into it", {}],
    ["copied into it", { store: "store" }],
    ["linked into it", { store: "store", link: true }],
  ])("has files %s in their places on disk before its state", async (_, options) => {
    await place.push(await place.write("v1", { "a.bin": "1", "old/b": "b" }), "team/model:v1");
    await fetchInto();
    await place.push(await place.write("v2", { "a.bin": "2", "c/d/e.bin": "e" }), "team/model:v1");
    const state = () => readFileSync(out(".ballast/pulled.json"), "utf8");
    const before = state();
    const synced = new Map<string, string[]>();
    using _watch = await watchSyncs((path) => {
      if (state() === before && statSync(path).isDirectory())
        synced.set(relative(out(), path), readdirSync(path).sort());
    });
    const { removed } = await fetchInto(
      options.store === undefined ? options : { ...options, store: store() },
    );
    expect(removed).toEqual(["old/b"]);
    expect(synced.get("")).toEqual([".ballast", "a.bin", "c"]);
    expect([synced.get("c"), synced.get("c/d")]).toEqual([["d"], ["e.bin"]]);
  });

  test("has files that it finds there on disk before its state", async () => {
    await place.push(await place.write("found", { "a/b.bin": "b" }), "team/model:v1");
    await place.write("out", { "a/b.bin": "b" });
    const synced: string[] = [];
    using _watch = await watchSyncs((path) => {
      if (!existsSync(out(".ballast/pulled.json"))) synced.push(path);
    });
    expect((await fetchInto()).bytes.moved).toBe(0);
    expect(synced).toEqual(expect.arrayContaining([out("a/b.bin"), out("a"), out()]));
  });

  test("again moves nothing, even when the files were touched but not changed", async () => {
    await fetchInto();
    const { digest, bytes } = await fetchInto();
    expect(bytes.moved).toBe(0);
    place.requests.length = 0;
    const pinned = `${place.ref("team/model")}@${digest}`;
    expect((await fetchInto({ reference: pinned })).bytes.moved).toBe(0);
    expect(place.requests).toEqual([]);
    await writeFile(out("config.json"), await readFile(out("config.json")));
    await rm(out(".ballast", "pulled.json"));
    expect((await fetchInto()).bytes.moved).toBe(0);
    expect(blobReads()).toHaveLength(1);
  });

  test("takes files that happen to be there with the right bytes", async () => {
    await mkdir(out("sub"), { recursive: true });
    await writeFile(out("sub", "other.bin"), await readFile(join(source, "sub/other.bin")));
    const { bytes } = await fetchInto();
    expect(bytes.reused).toBe(2 * mebi);
  });

  test("brings back what was deleted", async () => {
    await fetchInto();
    await unlink(out("config.json"));
    const { bytes } = await fetchInto();
    expect(bytes.moved).toBe((await stat(join(source, "config.json"))).size);
    expect(await readTree(out())).toEqual(await readTree(source));
  });

  test("of the next version fetches what changed and removes what is gone", async () => {
    const first = await fetchInto();
    await writeFile(join(source, "config.json"), "{}");
    await writeFile(join(source, "added"), "new");
    await rm(join(source, "sub"), { recursive: true });
    const weights = await readFile(join(source, "model.safetensors"));
    await writeFile(join(source, "renamed.safetensors"), weights);
    await rm(join(source, "model.safetensors"));
    await push({ source, reference });
    await writeFile(out("mine.txt"), "mine");
    const second = await fetchInto();
    expect(second.removed).toEqual(["model.safetensors", "sub/other.bin"]);
    expect(second.previousDigest).toBe(first.digest);
    expect(second.bytes.moved).toBe(5);
    expect(await readTree(out())).toEqual({
      ...(await readTree(source)),
      "mine.txt": digestOf("mine"),
    });
    expect(await readdir(out())).not.toContain("sub");
  });

  test("of the next version replaces files by folders and folders by files", async () => {
    const v1 = await place.write("v1", { a: "file", "b/c": "in folder", "b/d/e": "deep" });
    const v2 = await place.write("v2", { "a/x": "in folder", b: "file" });
    await push({ source: v1, reference: place.ref("swap:v1") });
    await push({ source: v2, reference: place.ref("swap:v2") });
    await pull({ reference: place.ref("swap:v1"), output: out() });
    const { removed } = await pull({ reference: place.ref("swap:v2"), output: out() });
    expect(removed).toEqual(["a", "b/c", "b/d/e"]);
    expect(await readTree(out())).toEqual(await readTree(v2));
  });

  test("never touches what somebody changed, and says so before it fetches anything", async () => {
    await fetchInto();
    await writeFile(out("config.json"), "mine");
    await writeFile(join(source, "config.json"), "{}");
    await rm(join(source, "sub"), { recursive: true });
    await writeFile(join(source, "more.bin"), seededBytes("more", mebi));
    await writeFile(out("sub", "other.bin"), "my notes");
    await push({ source, reference });
    const before = await readTree(out());
    place.requests.length = 0;
    await expect(fetchInto()).rejects.toMatchObject({
      code: "OUTPUT_EXISTS",
      message: expect.stringContaining(out("config.json")) as string,
    });
    expect(await readTree(out())).toEqual(before);
    expect(blobReads().length).toBeLessThanOrEqual(1);
    const { removed } = await fetchInto({ overwrite: true });
    expect(removed).toEqual([]);
    expect(await readTree(out())).toEqual({
      ...(await readTree(source)),
      "sub/other.bin": digestOf("my notes"),
    });
  });

  test.each<[string, () => Promise<unknown>, boolean]>([
    ["a file with other bytes", () => writeFile(out("config.json"), "mine"), true],
    ["a dangling link", () => symlink("nowhere", out("config.json")), true],
    [
      "a folder with a file",
      async () => {
        await mkdir(out("config.json"));
        await writeFile(out("config.json", "x"), "");
      },
      false,
    ],
    ["an empty folder", () => mkdir(out("config.json")), false],
    ["a file where a folder belongs", () => writeFile(out("sub"), "mine"), false],
  ])("finds %s in its way before it fetches anything", async (_, obstruct, replaceable) => {
    await mkdir(out());
    await obstruct();
    const before = await snapshot(out()).catch(() => undefined);
    await expect(fetchInto()).rejects.toMatchObject({ code: "OUTPUT_EXISTS" });
    expect(place.requests.filter((line) => line.includes("/blobs/")).length).toBeLessThanOrEqual(1);
    if (before !== undefined)
      expect((await snapshot(out())).filter((line) => !line.startsWith(".ballast"))).toEqual(
        before,
      );
    const forced = fetchInto({ overwrite: true });
    if (replaceable) expect((await forced).files).toBe(3);
    else await expect(forced).rejects.toMatchObject({ code: "OUTPUT_EXISTS" });
  });

  test("of some files leaves the others of the same model alone", async () => {
    await fetchInto({ include: ["*.json"] });
    expect(Object.keys(await readTree(out()))).toEqual(["config.json"]);
    const more = await fetchInto({ include: ["sub/"] });
    expect(more.removed).toEqual([]);
    expect(Object.keys(await readTree(out()))).toEqual(["config.json", "sub/other.bin"]);
    await writeFile(join(source, "config.json"), "{}");
    await push({ source, reference });
    const next = await fetchInto({ include: ["sub/"] });
    expect(next.removed).toEqual(["config.json"]);
  });

  test("keeps one copy of equal files until they are in place", async () => {
    const twins = await place.write("twins", {
      a: seededBytes("t", mebi),
      "b/c": seededBytes("t", mebi),
    });
    await push({ source: twins, reference: place.ref("twins:v1") });
    const { bytes } = await pull({ reference: place.ref("twins:v1"), output: out() });
    expect(bytes).toEqual({ total: 2 * mebi, moved: mebi, reused: mebi });
    expect(await readTree(out())).toEqual(await readTree(twins));
    expect((await stat(out("a"))).ino).not.toBe((await stat(out("b", "c"))).ino);
  });

  test("refuses a model with files where it keeps its own", async () => {
    const manifest = { reference: place.ref("bad:v1"), output: out() };
    const bad = await place.write("bad", { ".Ballast/pulled.json": "{}" });
    await push({ source: bad, reference: manifest.reference });
    await expect(pull(manifest)).rejects.toMatchObject({ code: "INVALID_PATH" });
    expect(await readTree(out())).toEqual({});
    const { path } = await pull({ reference: manifest.reference, store: store() });
    expect(Object.keys(await readTree(path, () => false))).toEqual([".Ballast/pulled.json"]);
  });

  test("does not follow a state file that somebody made up", async () => {
    await writeFile(place.inside("precious"), "precious");
    await fetchInto();
    const path = out(".ballast", "pulled.json");
    const { size, mtimeMs } = await stat(place.inside("precious"));
    const state = JSON.parse(await readFile(path, "utf8")) as { files: unknown[] };
    state.files.push({ path: "../precious", id: "0".repeat(64), size, mtimeMs });
    await writeFile(path, JSON.stringify(state));
    await expect(fetchInto()).rejects.toMatchObject({ code: "STORE_IO" });
    expect(await readFile(place.inside("precious"), "utf8")).toBe("precious");
    await writeFile(path, "no json");
    await expect(fetchInto()).rejects.toMatchObject({ code: "STORE_IO" });
  });
});

describe("a pull into a folder that is killed", () => {
  test("goes on where it stopped, and never needs twice the space", async () => {
    const files = Object.fromEntries(
      Array.from({ length: 12 }, (_, at) => [`${at}.bin`, seededBytes(`k${at}`, 9 * mebi)]),
    );
    const big = await place.write("big", files);
    const options = { reference: place.ref("big:v1"), output: out() };
    await push({ source: big, reference: options.reference });
    const child = startLibraryProcess(`await ballast.pull(${JSON.stringify(options)});`);
    const exited = once(child, "exit");
    while ((await filesBeforeTheirPlace()).length === 0) await sleep(2);
    child.kill("SIGKILL");
    await exited;
    expect(await readTree(out())).toEqual({});
    let most = 0;
    let untold = Infinity;
    const onProgress = (event: ProgressEvent) => {
      untold += event.type === "bytes" ? event.bytes : 0;
      if (untold < 4 * mebi) return;
      untold = 0;
      most = Math.max(most, diskUsage(out()));
    };
    const { bytes } = await pull({ ...options, onProgress });
    expect(bytes.moved).toBeLessThan(bytes.total);
    expect(await readTree(out())).toEqual(await readTree(big));
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThan(bytes.total + 4 * mebi);
  });
});

/** Files that are whole and verified, but not in their places yet. */
async function filesBeforeTheirPlace(): Promise<string[]> {
  return readdir(out(".ballast", "files")).catch(() => []);
}

/** Bytes allocated below a folder; what vanishes meanwhile is passed over. */
function diskUsage(root: string): number {
  const { stdout } = spawnSync("du", ["-s", "--block-size=1", root], { encoding: "utf8" });
  return Number.parseInt(stdout, 10);
}

describe("a pull into a folder and a store", () => {
  test("gives copies: who overwrites one, even root, leaves the store as it was", async () => {
    const { path } = await fetchInto({ store: store() });
    const inStore = await pull({ reference, store: store() });
    expect(inStore.bytes.moved).toBe(0);
    for (const name of Object.keys(await readTree(path)))
      await writeFile(join(path, name), "overwritten");
    expect(await readTree(inStore.path)).toEqual(await readTree(source));
    const again = await fetchInto({ store: store(), overwrite: true });
    expect(again.bytes.moved).toBe(0);
    expect(await readTree(out())).toEqual(await readTree(source));
  });

  test("with link gives hard links, read-only for good", async () => {
    await fetchInto({ store: store(), link: true });
    const found = await stat(out("config.json"));
    expect(found.mode & 0o777).toBe(0o444);
    expect(found.nlink).toBeGreaterThan(1);
    const inStore = await pull({ reference, store: store() });
    expect((await stat(join(inStore.path, "config.json"))).ino).toBe(found.ino);
    expect((await fetchInto({ store: store(), link: true })).bytes.moved).toBe(0);
    await writeFile(join(source, "config.json"), "{}");
    await push({ source, reference });
    await fetchInto({ store: store(), link: true });
    expect(await readTree(out())).toEqual(await readTree(source));
    expect(await readTree(inStore.path)).toMatchObject({
      "sub/other.bin": digestOf(await readFile(out("sub", "other.bin"))),
    });
  });

  test("leaves no staging files behind, also where a link was made by hand", async () => {
    await fetchInto({ store: store(), link: true });
    await unlink(out("config.json"));
    await link(out("model.safetensors"), out("mine"));
    await fetchInto({ store: store(), link: true });
    const names = await readdir(out(), { recursive: true });
    expect(names.filter((name) => /tmp|placing/.test(name))).toEqual([]);
  });

  test("of the next version removes what is gone", async () => {
    await fetchInto({ store: store() });
    await rm(join(source, "sub"), { recursive: true });
    await push({ source, reference });
    expect((await fetchInto({ store: store() })).removed).toEqual(["sub/other.bin"]);
    expect(await readTree(out())).toEqual(await readTree(source));
  });
});
