import { mkdir, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { listDirectory } from "../../src/source/directory-source.ts";
import { makeTemporaryFolder, type TemporaryFolder, writeTree } from "../support/models.ts";

const [main, older] = ["1".repeat(40), `12${"3".repeat(38)}`];

let folder: TemporaryFolder;
let root: string;

beforeEach(async () => {
  folder = await makeTemporaryFolder();
  root = join(await realpath(folder.path), "hub", "models--org--tiny-model");
  await writeTree(root, {
    "blobs/aaa": "weights",
    "blobs/bbb": "config",
    "blobs/ccc": "old config",
    "refs/main": main,
    "refs/v1": `${older}\n`,
    "refs/refs/pr/2": older,
    ".no_exist/x": "",
  });
  await addSnapshot(main, { "model.safetensors": "aaa", "sub/config.json": "bbb" });
  await addSnapshot(older, { "sub/config.json": "ccc" });
});

afterEach(async () => {
  await folder[Symbol.asyncDispose]();
});

async function addSnapshot(commit: string, links: Record<string, string>): Promise<void> {
  for (const [path, blob] of Object.entries(links)) {
    const at = join(root, "snapshots", commit, path);
    await mkdir(join(at, ".."), { recursive: true });
    await symlink(`${"../".repeat(path.split("/").length + 1)}blobs/${blob}`, at);
  }
}

describe("a Hugging Face cache folder", () => {
  test("is packed from the snapshot of main, its links followed to the blobs", async () => {
    const source = await listDirectory(root);
    expect(source).toMatchObject({
      name: "org/tiny-model",
      origin: { huggingFaceId: "org/tiny-model", revision: main },
      files: [
        { path: "model.safetensors", size: 7, location: join(root, "blobs/aaa") },
        { path: "sub/config.json", size: 6, location: join(root, "blobs/bbb") },
      ],
    });
    expect(source.warnings).toEqual([]);
  });

  test.each([
    ["main", main],
    ["v1", older],
    ["refs/pr/2", older],
    [older, older],
    ["12", older],
    ["11", main],
  ])("is packed from revision %s", async (revision, commit) => {
    expect((await listDirectory(root, { revision })).origin?.revision).toBe(commit);
  });

  test.each([
    ["1", /could be any of several/],
    ["v2", /is not there/],
    ["../refs/main", /is not there/],
    ["pr", /is not there/],
  ])("has no revision %s and lists those it has", async (revision, message) => {
    await expect(listDirectory(root, { revision })).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringMatching(message),
      hint: expect.stringMatching(new RegExp(`--revision.*${main}.*${older}`)),
    });
  });

  test("without main needs a revision, unless there is one snapshot only", async () => {
    await rm(join(root, "refs/main"));
    await expect(listDirectory(root)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    await rm(join(root, "snapshots", main), { recursive: true });
    expect((await listDirectory(root)).origin?.revision).toBe(older);
  });

  test("whose main was never downloaded asks for the revision", async () => {
    await writeFile(join(root, "refs/main"), "f".repeat(40));
    await expect(listDirectory(root)).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });

  test("without snapshots is SOURCE_EMPTY", async () => {
    await rm(join(root, "snapshots"), { recursive: true });
    await mkdir(join(root, "snapshots"));
    await expect(listDirectory(root)).rejects.toMatchObject({ code: "SOURCE_EMPTY" });
  });

  test("that only has such a name is an ordinary folder", async () => {
    const plain = join(folder.path, "models--mine--v2");
    await writeTree(plain, { a: "a" });
    expect(await listDirectory(plain)).toMatchObject({ name: "models--mine--v2", files: [{}] });
  });

  test("may be given by a snapshot, a folder in it, or a file in it", async () => {
    const snapshot = join(root, "snapshots", main);
    const origin = { huggingFaceId: "org/tiny-model", revision: main };
    expect(await listDirectory(snapshot)).toMatchObject({ origin, files: [{}, {}] });
    expect(await listDirectory(join(snapshot, "sub"))).toMatchObject({
      origin,
      files: [{ path: "config.json", location: join(root, "blobs/bbb") }],
    });
    expect(await listDirectory(join(snapshot, "model.safetensors"))).toMatchObject({
      origin,
      files: [{ path: "model.safetensors", size: 7, location: join(root, "blobs/aaa") }],
    });
  });

  test("does not let a link lead into another repository of the cache", async () => {
    await writeTree(join(root, "../models--org--other"), { "blobs/x": "x" });
    const link = join(root, "snapshots", main, "x");
    await symlink("../../../models--org--other/blobs/x", link);
    await expect(listDirectory(root)).rejects.toMatchObject({ code: "SOURCE_UNSUPPORTED" });
  });

  test("is SOURCE_UNREADABLE while a download into it is unfinished", async () => {
    await writeFile(join(root, "blobs/ddd.incomplete"), "half");
    const refusal = {
      code: "SOURCE_UNREADABLE",
      message: expect.stringContaining("ddd.incomplete"),
    };
    await expect(listDirectory(root)).rejects.toMatchObject(refusal);
    await expect(listDirectory(join(root, "snapshots", main))).rejects.toMatchObject(refusal);
  });

  test("is readable when what an earlier download left was completed since", async () => {
    await writeFile(join(root, "blobs/aaa.incomplete"), "half");
    await writeFile(join(root, "blobs/bbb.1f2e.incomplete"), "half");
    expect((await listDirectory(root)).files).toHaveLength(2);
  });

  test("never packs a half blob that a link points to", async () => {
    await writeTree(folder.path, { "plain/blobs/ddd.incomplete": "half" });
    await symlink("blobs/ddd.incomplete", join(folder.path, "plain/model.bin"));
    await expect(listDirectory(join(folder.path, "plain"))).rejects.toMatchObject({
      code: "SOURCE_UNREADABLE",
      message: expect.stringContaining("model.bin"),
    });
  });

  test("is the only kind of source that has revisions", async () => {
    for (const plain of [folder.path, join(root, "snapshots", main), join(root, "blobs/aaa")])
      await expect(listDirectory(plain, { revision: "main" })).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
      });
  });
});
