import { execFile } from "node:child_process";
import {
  chmod,
  link,
  mkdir,
  open,
  realpath,
  rename,
  rm,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { comparePaths } from "../../src/core/model-path.ts";
import { type ListOptions, listDirectory } from "../../src/source/directory-source.ts";
import { sameStamp, stampOf, stampReadableFile } from "../../src/source/file-stamp.ts";
import { makeTemporaryFolder, type TemporaryFolder, writeTree } from "../support/models.ts";

let folder: TemporaryFolder;
let root: string;

beforeEach(async () => {
  folder = await makeTemporaryFolder();
  root = join(await realpath(folder.path), "model");
  await mkdir(root);
});

afterEach(async () => {
  await folder[Symbol.asyncDispose]();
});

const write = (files: Record<string, string | Uint8Array>) => writeTree(root, files);

async function listPaths(options?: ListOptions): Promise<string[]> {
  return (await listDirectory(root, options)).files.map((file) => file.path);
}

describe("a folder", () => {
  test("is listed with paths, sizes and where the bytes are, sorted by path bytes", async () => {
    await write({ "b.txt": "bb", "a/z": "", "a.txt": "a", é: "e", Z: "z", "a/b/c": "deep" });
    const source = await listDirectory(root);
    expect(source.name).toBe("model");
    expect(source.origin).toBeUndefined();
    expect(source.files.map(({ path, size, location }) => [path, size, location])).toEqual([
      ["Z", 1, join(root, "Z")],
      ["a.txt", 1, join(root, "a.txt")],
      ["a/b/c", 4, join(root, "a/b/c")],
      ["a/z", 0, join(root, "a/z")],
      ["b.txt", 2, join(root, "b.txt")],
      ["é", 1, join(root, "é")],
    ]);
  });

  test("may be given relative, with a slash at its end or by a link", async () => {
    await write({ a: "a" });
    await symlink(root, `${root}-link`);
    for (const given of [`${root}/`, `${root}/../model`, `${root}-link`])
      expect((await listDirectory(given)).files[0]?.location).toBe(join(root, "a"));
  });

  test("is packed with hidden files, without what tools leave behind", async () => {
    await write({
      ".gitattributes": "",
      ".hidden/x": "",
      ".cache/other": "",
      ".cache/huggingface/download/x.metadata": "",
      "sub/.cache/huggingface/x": "",
      "huggingface/x": "",
      ".git/config": "",
      "sub/.git": "gitdir: elsewhere",
      ".ballast/journal": "",
      ".DS_Store": "",
    });
    expect(await listPaths()).toEqual([
      ".cache/other",
      ".gitattributes",
      ".hidden/x",
      "huggingface/x",
    ]);
  });

  test("is packed by globs; empty folders do not matter", async () => {
    await mkdir(join(root, "empty/deeper"), { recursive: true });
    await write({ "a.json": "", "b.bin": "", "sub/c.json": "", "sub/old/d.json": "" });
    expect(await listPaths({ include: ["*.json"], exclude: ["sub/old/"] })).toEqual([
      "a.json",
      "sub/c.json",
    ]);
  });

  test("of any names round trips, in one order", async () => {
    const name = fc
      .string({ unit: "grapheme", minLength: 1, maxLength: 12 })
      .map((text) => text.normalize().replaceAll(/[/\0]/g, "_"))
      .filter((text) => text !== "." && text !== "..");
    const names = fc.uniqueArray(name, { minLength: 1, maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(names, async (list) => {
        await rm(root, { recursive: true });
        await write(Object.fromEntries(list.map((item) => [item, item])));
        expect(await listPaths()).toEqual(list.toSorted(comparePaths));
      }),
      { numRuns: 60 },
    );
  });

  test("that does not exist is SOURCE_UNREADABLE and named", async () => {
    await expect(listDirectory(join(root, "gone"))).rejects.toMatchObject({
      code: "SOURCE_UNREADABLE",
      message: expect.stringMatching(/model\/gone.*does not exist/),
    });
    await write({ file: "" });
    await expect(listDirectory(join(root, "file/below"))).rejects.toMatchObject({
      code: "SOURCE_UNREADABLE",
    });
  });

  test("without a file is SOURCE_EMPTY, and says so of a selection", async () => {
    await mkdir(join(root, "empty"));
    await write({ ".git/config": "" });
    await expect(listDirectory(root)).rejects.toMatchObject({
      code: "SOURCE_EMPTY",
      hint: undefined,
    });
    await write({ a: "" });
    await expect(listDirectory(root, { exclude: ["a"] })).rejects.toMatchObject({
      code: "SOURCE_EMPTY",
      hint: expect.stringContaining("selection"),
    });
  });

  test("stops being listed when its signal is aborted", async () => {
    await write({ a: "" });
    const reason = new Error("enough");
    await expect(listDirectory(root, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

describe("a single file", () => {
  test("is a model of that one file, also by a link", async () => {
    await write({ "weights.gguf": "GGUF" });
    await symlink("weights.gguf", join(root, "latest.gguf"));
    for (const name of ["weights.gguf", "latest.gguf"])
      expect(await listDirectory(join(root, name))).toMatchObject({
        name,
        files: [{ path: name, size: 4, location: join(root, "weights.gguf") }],
      });
  });

  test("can be left out by a selection", async () => {
    await write({ "weights.gguf": "GGUF" });
    await expect(
      listDirectory(join(root, "weights.gguf"), { exclude: ["*.gguf"] }),
    ).rejects.toMatchObject({ code: "SOURCE_EMPTY" });
  });

  test("that is a device is SOURCE_UNSUPPORTED", async () => {
    await expect(listDirectory("/dev/null")).rejects.toMatchObject({ code: "SOURCE_UNSUPPORTED" });
  });
});

describe("names", () => {
  test("are written in NFC and still opened as they are on disk", async () => {
    await write({ "cafe\u0301/n\u0303": "x" });
    const { files } = await listDirectory(root);
    expect(files).toMatchObject([
      { path: "caf\u00e9/\u00f1", location: join(root, "cafe\u0301/n\u0303") },
    ]);
  });

  test("that are one in NFC are INVALID_PATH, folders of that kind are one folder", async () => {
    await write({ "cafe\u0301/a": "", "caf\u00e9/b": "" });
    expect(await listPaths()).toEqual(["caf\u00e9/a", "caf\u00e9/b"]);
    await write({ "cafe\u0301/b": "" });
    await expect(listDirectory(root)).rejects.toMatchObject({
      code: "INVALID_PATH",
      message: expect.stringContaining("caf\u00e9/b"),
    });
  });

  test("that are no UTF-8 are INVALID_PATH", async () => {
    await writeFile(Buffer.concat([Buffer.from(`${root}/bad-`), Buffer.from([0xff])]), "");
    await expect(listDirectory(root)).rejects.toMatchObject({
      code: "INVALID_PATH",
      message: expect.stringContaining("bad-"),
    });
  });

  test("that differ only in case are warned about", async () => {
    await write({ "Config.json": "", "config.json": "", "x/A": "", "y/a": "" });
    expect((await listDirectory(root)).warnings).toEqual([
      '"Config.json" and "config.json" differ only in case',
    ]);
  });

  test("too many of which differ only in case are summed up", async () => {
    const names = Array.from({ length: 12 }, (_, at) => [`a${at}`, `A${at}`]).flat();
    await write(Object.fromEntries(names.map((name) => [name, ""])));
    const { warnings } = await listDirectory(root);
    expect(warnings).toHaveLength(11);
    expect(warnings.at(-1)).toMatch(/^2 more/);
  });

  test("deeper than a model can be are INVALID_PATH", async () => {
    await write({ [`${"d/".repeat(70)}file`]: "" });
    await expect(listDirectory(root)).rejects.toMatchObject({ code: "INVALID_PATH" });
  });
});

describe("links", () => {
  test("to files and folders inside the source are followed", async () => {
    await write({ "blobs/x": "content", "sub/y": "y" });
    await symlink("../blobs/x", join(root, "sub/link"));
    await symlink(join(root, "sub"), join(root, "alias"));
    const { files } = await listDirectory(root);
    expect(files.map(({ path, location }) => [path, location.slice(root.length + 1)])).toEqual([
      ["alias/link", "blobs/x"],
      ["alias/y", "sub/y"],
      ["blobs/x", "blobs/x"],
      ["sub/link", "blobs/x"],
      ["sub/y", "sub/y"],
    ]);
  });

  test.each(["file", "folder"])("to a %s outside need followLinks", async (kind) => {
    await write({ a: "a" });
    const outside = kind === "file" ? "outside/x" : "outside";
    await writeTree(folder.path, { "outside/x": "x" });
    await symlink(join("..", outside), join(root, "link"));
    await expect(listDirectory(root)).rejects.toMatchObject({
      code: "SOURCE_UNSUPPORTED",
      message: expect.stringMatching(/model\/link.*outside/),
      hint: expect.stringContaining("--follow-links"),
    });
    expect(await listPaths({ exclude: ["link"] })).toEqual(["a"]);
    expect(await listPaths({ followLinks: true })).toEqual([
      "a",
      kind === "file" ? "link" : "link/x",
    ]);
  });

  test("to a folder whose name only starts like the source lead out", async () => {
    await write({ a: "a" });
    await writeTree(`${root}-other`, { x: "x" });
    await symlink("../model-other/x", join(root, "link"));
    await expect(listDirectory(root)).rejects.toMatchObject({ code: "SOURCE_UNSUPPORTED" });
  });

  test("that dangle are SOURCE_UNREADABLE and named with their target", async () => {
    await write({ a: "a" });
    await symlink("../blobs/gone", join(root, "link"));
    await expect(listDirectory(root)).rejects.toMatchObject({
      code: "SOURCE_UNREADABLE",
      message: expect.stringMatching(/model\/link.*\.\.\/blobs\/gone/),
    });
    expect(await listPaths({ exclude: ["link"] })).toEqual(["a"]);
    expect(await listPaths({ include: ["a"] })).toEqual(["a"]);
  });

  test.each([
    ["to themselves", "SOURCE_UNREADABLE", "loop"],
    ["to the folder they are in", "SOURCE_UNSUPPORTED", "."],
    ["to a folder above", "SOURCE_UNSUPPORTED", ".."],
  ])("%s are %s", async (_, code, target) => {
    await write({ "sub/a": "a" });
    await symlink(target, join(root, "sub/loop"));
    await expect(listDirectory(root)).rejects.toMatchObject({
      code,
      message: expect.stringContaining("sub/loop"),
    });
  });

  test("that multiply folders without end are refused", async () => {
    await writeTree(folder.path, { "a/x": "", "b/x": "", "model/x": "" });
    await symlink("../b", join(folder.path, "a/b"));
    await symlink("../a", join(folder.path, "b/a"));
    await symlink("../a", join(root, "a"));
    await expect(listDirectory(root, { followLinks: true })).rejects.toMatchObject({
      code: "SOURCE_UNSUPPORTED",
    });
  });
});

describe("what cannot be packed", () => {
  test("is found before anything else happens: sockets, fifos, devices behind links", async () => {
    await write({ a: "a" });
    await promisify(execFile)("mkfifo", [join(root, "pipe")]);
    await expect(listDirectory(root)).rejects.toMatchObject({
      code: "SOURCE_UNSUPPORTED",
      message: expect.stringContaining("model/pipe"),
    });
    expect(await listPaths({ exclude: ["pipe"] })).toEqual(["a"]);
    await rename(join(root, "pipe"), join(folder.path, "pipe"));
    await symlink("/dev/null", join(root, "null"));
    await expect(listDirectory(root, { followLinks: true })).rejects.toMatchObject({
      code: "SOURCE_UNSUPPORTED",
      message: expect.stringContaining("/dev/null"),
    });
    await rm(join(root, "null"));
    const server = createServer().listen(join(root, "socket"));
    try {
      await expect(listDirectory(root)).rejects.toMatchObject({ code: "SOURCE_UNSUPPORTED" });
    } finally {
      server.close();
    }
  });

  test.each(["secret", "closed/file"])("like %s without permission is named", async (path) => {
    await write({ a: "a", [path]: "x" });
    const shut = path.split("/")[0] ?? "";
    await chmod(join(root, shut), 0o000);
    await chmod(folder.path, 0o755);
    const isRoot = process.geteuid?.() === 0;
    if (isRoot) process.seteuid?.(65_534);
    try {
      await expect(listDirectory(root)).rejects.toMatchObject({
        code: "SOURCE_UNREADABLE",
        message: expect.stringMatching(new RegExp(`model/${shut}.*permission denied`)),
      });
    } finally {
      if (isRoot) process.seteuid?.(0);
      await chmod(join(root, shut), 0o755);
    }
  });
});

describe("a stamp", () => {
  test("is the same for the same file and another after each change", async () => {
    await write({ a: "one" });
    const [file] = (await listDirectory(root)).files;
    if (file === undefined) throw new Error("nothing was listed");
    const restamp = async () => {
      await using handle = await open(file.location);
      expect(await stampOf(handle.fd)).toEqual(await stampOf(handle));
      return await stampOf(handle);
    };
    await link(file.location, join(root, "b"));
    expect(sameStamp(file.stamp, await restamp())).toBe(true);
    await writeFile(file.location, "longer");
    const longer = await restamp();
    expect(sameStamp(file.stamp, longer)).toBe(false);
    await utimes(file.location, 1, 1);
    const touched = await restamp();
    expect(sameStamp(longer, touched)).toBe(false);
    await writeFile(join(root, "new"), "longer");
    await utimes(join(root, "new"), 1, 1);
    await rename(join(root, "new"), file.location);
    const replaced = await restamp();
    expect(replaced).toMatchObject({ size: touched.size, mtimeNs: touched.mtimeNs });
    expect(sameStamp(touched, replaced)).toBe(false);
  });

  test("is only for regular files", async () => {
    expect(await stampReadableFile("/dev/null")).toBeUndefined();
    expect(await stampReadableFile(root)).toBeUndefined();
  });
});
