import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fileId } from "../../src/core/chunk-index.ts";
import { startDiskThreads } from "../../src/transfer/disk-threads.ts";
import { makeFolder } from "../support/store-folders.ts";
import { killLayerBytes, makeKillModel, pieceBytes } from "../support/store-kill-model.ts";
import { bytesOf, wrongFiles } from "../support/store-models.ts";

const child = join(import.meta.dirname, "../support/child-store-pull.ts");
const model = makeKillModel();
const contents = new Map(
  model.index.files.map((file) => [fileId(file), model.files.get(file.path)]),
);

interface Run {
  /** Pieces it asked for. */
  readonly pieces: number;
  readonly killed: boolean;
}

/** Runs a pull; kills it at its n-th piece. */
async function runChild(root: string, options: { pauseMs: number; killAt: number }): Promise<Run> {
  const process_ = spawn(process.execPath, [child, root, String(options.pauseMs)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let pieces = 0;
  process_.stdout.on("data", (dots: Buffer) => {
    pieces += dots.byteLength;
    if (pieces >= options.killAt) process_.kill("SIGKILL");
  });
  const [code, signal] = await once(process_, "close");
  if (signal === null) expect(code).toBe(0);
  return { pieces, killed: signal === "SIGKILL" };
}

/** Reads all that a reader of the store could see, and finds nothing but whole, right files. */
async function expectOnlyVerified(root: string): Promise<void> {
  for (const id of await readdir(join(root, "files")).catch(() => [])) {
    const actual = await readFile(join(root, "files", id));
    expect(contents.get(id)?.equals(actual)).toBe(true);
  }
  for (const tree of await findTrees(root)) expect(await wrongFiles(tree, model)).toEqual([]);
}

async function findTrees(root: string): Promise<string[]> {
  const trees = join(root, "trees");
  const found: string[] = [];
  for (const id of await readdir(trees).catch(() => []))
    for (const selection of await readdir(join(trees, id)))
      for (const name of await readdir(join(trees, id, selection)))
        found.push(join(trees, id, selection, name));
  return found;
}

async function expectWhole(root: string): Promise<void> {
  const trees = await findTrees(root);
  expect(trees).toHaveLength(1);
  await expectOnlyVerified(root);
  expect((await readdir(join(root, "files"))).sort()).toEqual([...contents.keys()].sort());
  expect(await readdir(join(root, "trash"))).toEqual([]);
  const left = await readdir(join(root, "ingest"), { recursive: true });
  expect(left.filter((path) => path.includes("/"))).toEqual([]);
}

describe("a pull that is killed", () => {
  test("again and again goes on each time and never shows a byte that is not verified", async () => {
    await using folder = await makeFolder();
    const root = join(folder.path, "store");
    let [pieces, kills] = [0, 0];
    for (const random of bytesOf("moments of death", 16)) {
      const run = await runChild(root, { pauseMs: 2, killAt: 18 + (random % 32) });
      pieces += run.pieces;
      kills += run.killed ? 1 : 0;
      await expectOnlyVerified(root);
    }
    expect(kills).toBeGreaterThanOrEqual(15);
    const last = await runChild(root, { pauseMs: 0, killAt: Infinity });
    pieces += last.pieces;
    await expectWhole(root);
    const fetched = pieces * pieceBytes;
    // The last piece of a range may be shorter than counted here.
    const ranges = model.index.layers.length + kills;
    expect(fetched).toBeLessThanOrEqual(
      model.bytes + kills * 2 * killLayerBytes + ranges * pieceBytes,
    );
  });

  test("while it commits is whole after the next run", async () => {
    const total = Math.ceil(model.bytes / pieceBytes);
    for (const random of bytesOf("late moments", 5)) {
      await using folder = await makeFolder();
      const root = join(folder.path, "store");
      const first = await runChild(root, { pauseMs: 0, killAt: total - 120 + (random % 120) });
      await expectOnlyVerified(root);
      const second = await runChild(root, { pauseMs: 0, killAt: Infinity });
      await expectWhole(root);
      // What was in flight is asked for twice; the last piece of a range may be short.
      const twice = Math.ceil((2 * killLayerBytes) / pieceBytes) + 2;
      expect(first.pieces + second.pieces).toBeLessThanOrEqual(
        total + model.index.layers.length + twice,
      );
    }
  });
});

describe("a process that pulls", () => {
  test.each([
    ["and closes its store", []],
    ["and leaves its store open", ["open"]],
  ])("%s ends by itself", async (_, more) => {
    await using folder = await makeFolder();
    const root = join(folder.path, "store");
    const running = spawn(process.execPath, [child, root, "0", ...more], { stdio: "ignore" });
    expect(await once(running, "close")).toEqual([0, null]);
    await expectWhole(root);
  });

  test("stops its disk threads when it disposes of them", async () => {
    const disk = startDiskThreads(1);
    const stream = disk.openStream([{ path: undefined, offset: 0, size: 3 }]);
    await stream.write(Buffer.from("abc"));
    await disk[Symbol.asyncDispose]();
    await expect(stream.end()).rejects.toMatchObject({ code: "CANCELLED" });
    await stream.abort();
  });
});
