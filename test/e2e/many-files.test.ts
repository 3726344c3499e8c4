import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { pull } from "../../src/model/pull.ts";
import { listDirectory } from "../../src/source/directory-source.ts";
import { openWorkplace, readTree, type Workplace } from "../support/workplace.ts";

let place: Workplace;
let source: string;

beforeEach(async () => {
  place = await openWorkplace();
  source = place.inside("m");
});
afterEach(async () => place[Symbol.asyncDispose]());

/** Writes `count` folders of 1000 small files each. */
async function writeFolders(count: number): Promise<void> {
  for (let folder = 0; folder < count; folder += 1) {
    await mkdir(join(source, String(folder)), { recursive: true });
    const numbers = Array.from({ length: 1000 }, (_, at) => at);
    await Promise.all(
      numbers.map((at) => writeFile(join(source, String(folder), `${at}.txt`), `${folder} ${at}`)),
    );
  }
}

test("20,000 small files share layers and arrive", async () => {
  await writeFolders(20);
  const pushed = await place.push(source, "a:v1");
  expect(pushed).toMatchObject({ files: 20_000, layers: { total: 1 } });
  const pulled = await pull({ reference: place.ref("a:v1"), store: place.inside("store") });
  expect(pulled.files).toBe(20_000);
  expect(pulled.requests.registry).toBeLessThan(100);
  expect((await readTree(pulled.path))["7/77.txt"]).toBe(digestOf("7 77"));
});

test("a folder of 100,000 small files is listed", async () => {
  // 100 folders of 1,000 names for 1,000 files: hard links are quicker to make than files.
  await writeFolders(1);
  for (let copy = 1; copy < 100; copy += 1)
    await promisify(execFile)("cp", ["-al", join(source, "0"), join(source, String(copy))]);
  const { files, warnings } = await listDirectory(source);
  expect(files.length).toBe(100_000);
  expect(warnings).toEqual([]);
});
