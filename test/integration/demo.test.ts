import { spawn } from "node:child_process";
import { once } from "node:events";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { describeJourneys, explainJourneys } from "../../src/demo/closing-table.ts";
import { tourSamples } from "../../src/demo/tour.ts";
import { makeSafetensors, makeTemporaryFolder, writeTree } from "../support/models.ts";

const program = join(import.meta.dirname, "../../src/demo/main.ts");

const smallShape = {
  layers: 8,
  hidden: 256,
  intermediate: 688,
  heads: 8,
  vocabulary: 8000,
  shardBytes: 8 * 1024 ** 2,
};

function startDemo(args: readonly string[]) {
  const child = spawn(process.execPath, [program, ...args]);
  let written = "";
  child.stdout.on("data", (piece: Buffer) => void (written += piece.toString()));
  child.stderr.on("data", (piece: Buffer) => void (written += piece.toString()));
  return { child, written: () => written };
}

const folderIn = (text: string): string => / (\/\S*ballast-demo-\S+)/.exec(text)?.[1] ?? "";

test("a model and its descendants travel, and the table tells what moved", async () => {
  await using folder = await makeTemporaryFolder();
  const lines: string[] = [];
  const { signal } = new AbortController();
  const say = (line: string) => void lines.push(line);
  const journeys = await tourSamples(smallShape, { folder: folder.path, signal, say });
  expect(journeys.map(({ tag }) => tag)).toEqual(["base", "adapter", "tune", "full-tune"]);
  for (const { totalBytes, push, pull, checkedFiles } of journeys) {
    expect(push.moved + push.reused).toBe(totalBytes);
    expect(pull.moved + pull.reused).toBe(totalBytes);
    expect(checkedFiles).toBeGreaterThanOrEqual(3);
  }
  const [base, adapter, tune, full] = journeys;
  expect(base?.push.reused).toBe(0);
  expect(adapter?.totalBytes).toBeLessThan(2 * 1024 ** 2);
  expect(tune?.push.reused).toBeGreaterThan(0.3 * (tune?.totalBytes ?? 0));
  expect(full?.push.reused).toBeLessThan(0.02 * (full?.totalBytes ?? 0));
  expect(describeJourneys(journeys)).toHaveLength(5);
  expect(explainJourneys(journeys)[2]).toMatch(
    /^full-tune: (nothing|less than 1%) of it was there/,
  );
});

test("shows a user's own model and removes what it made", async () => {
  await using folder = await makeTemporaryFolder();
  const tensor = { name: "a", dtype: "BF16", shape: [4], bytes: Buffer.alloc(8, 1) };
  await writeTree(folder.path, { "m/a.safetensors": makeSafetensors([tensor]), "m/b/c.txt": "x" });
  const { child, written } = startDemo([join(folder.path, "m")]);
  const [code] = await once(child, "close");
  expect({ code, text: written() }).toEqual({ code: 0, text: expect.any(String) });
  expect(written()).toMatch(/sha256 of 2 files: equal[\s\S]*All files verified/);
  await expect(stat(folderIn(written()))).rejects.toMatchObject({ code: "ENOENT" });
});

test("leaves nothing behind when it is stopped, and has the signal's exit code", async () => {
  const { child, written } = startDemo([]);
  while (!written().includes("1. base")) await once(child.stdout, "data");
  child.kill("SIGINT");
  const [code] = await once(child, "close");
  expect({ code, end: written().trimEnd().split("\n").at(-1) }).toEqual({
    code: 130,
    end: "demo: stopped by SIGINT",
  });
  await expect(stat(folderIn(written()))).rejects.toMatchObject({ code: "ENOENT" });
});

test.each([
  ["a path that is not there", ["/nonexistent"], "there is no /nonexistent"],
  ["two paths", ["a", "b"], "takes one path"],
])("fails for %s", async (_, args, message) => {
  const { child, written } = startDemo(args);
  const [code] = await once(child, "close");
  expect(code).toBe(1);
  expect(written()).toContain(message);
});
