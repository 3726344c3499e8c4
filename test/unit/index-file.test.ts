import { mkdtemp, rename, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { IndexFile } from "../../src/oci/layout/index-file.ts";
import { createUploadFolder } from "../../src/oci/layout/upload-folder.ts";

let folder: string;
let path: string;
let file: IndexFile;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "index-file-"));
  path = join(folder, "index.json");
  file = new IndexFile(folder, createUploadFolder(folder));
});
afterEach(async () => rm(folder, { recursive: true, force: true }));

const text = (mark: string) => JSON.stringify({ mark, manifests: [] });
const readMark = async () => (await file.read()).document["mark"];
const old = new Date(Date.now() - 3_600_000);

test("an index that has not changed is the same object, not parsed again", async () => {
  await writeFile(path, text("a"));
  await utimes(path, old, old);
  expect(await file.read()).toBe(await file.read());
});

test("one that was just written is the same object too, once its bytes were compared", async () => {
  await writeFile(path, text("a"));
  expect(await file.read()).toBe(await file.read());
});

test("changes of the same size in the same moment are all seen, in place and by rename", async () => {
  for (let round = 0; round < 100; round += 1) {
    const mark = String(round).padStart(3, "0");
    if (round % 2 === 0) await writeFile(path, text(mark));
    else {
      await writeFile(`${path}.new`, text(mark));
      await rename(`${path}.new`, path);
    }
    expect(await readMark()).toBe(mark);
  }
});

test("a change that keeps the size and sets the time back is seen", async () => {
  await writeFile(path, text("a"));
  await utimes(path, old, old);
  expect(await readMark()).toBe("a");
  await writeFile(path, text("b"));
  await utimes(path, old, old);
  expect(await readMark()).toBe("b");
});

test("a change by another process right after our own is seen", async () => {
  await file.create();
  for (let round = 0; round < 20; round += 1) {
    await file.update((index) => ({ ...index, document: { ...index.document, mark: "ours" } }));
    const other = new IndexFile(folder, createUploadFolder(folder));
    await other.update((index) => ({ ...index, document: { ...index.document, mark: "them" } }));
    expect(await readMark()).toBe("them");
  }
});

test("an index that is taken away is missed at once", async () => {
  await writeFile(path, text("a"));
  await utimes(path, old, old);
  await file.read();
  await rm(path);
  await expect(file.read()).rejects.toMatchObject({ code: "NOT_FOUND" });
});

test("an index that becomes none is refused, and read again when it is one", async () => {
  await writeFile(path, text("a"));
  await file.read();
  await writeFile(path, "{");
  await expect(file.read()).rejects.toMatchObject({ code: "INVALID_MANIFEST" });
  await writeFile(path, text("b"));
  expect(await readMark()).toBe("b");
});

test("an index that would be too large to read again is not written", async () => {
  await file.create();
  const large = file.update((index) => ({
    ...index,
    document: { ...index.document, note: "x".repeat(67_108_865) },
  }));
  await expect(large).rejects.toMatchObject({ code: "REGISTRY_LIMIT" });
  expect((await file.read()).document["note"]).toBeUndefined();
});
