import { spawnSync } from "node:child_process";
import { appendFile, chmod, mkdir, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { isModelError } from "../../src/core/errors.ts";
import { inspect } from "../../src/model/inspect.ts";
import { pull } from "../../src/model/pull.ts";
import { runLibraryProcess } from "../support/library-process.ts";
import {
  mebi,
  openWorkplace,
  readTree,
  seededBytes,
  type Workplace,
} from "../support/workplace.ts";

let place: Workplace;

beforeEach(async () => {
  place = await openWorkplace();
});
afterEach(async () => place[Symbol.asyncDispose]());

describe("a source that cannot be packed", () => {
  test("because it changes meanwhile is SOURCE_CHANGED, and no tag appears", async () => {
    const source = await place.write("m", { "a.bin": seededBytes("a", 3 * mebi), "b.bin": "b" });
    const pushing = place.push(source, "a:v1", {
      onProgress: (event) => {
        if (event.type === "start")
          spawnSync("sh", ["-c", `echo more >> ${join(source, "a.bin")}`]);
      },
    });
    await expect(pushing).rejects.toMatchObject({
      code: "SOURCE_CHANGED",
      message: expect.stringContaining("a.bin") as string,
    });
    await expect(inspect({ reference: place.ref("a:v1") })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    await expect(place.push(source, "a:v1")).resolves.toMatchObject({ files: 2 });
  });

  test("because it shrinks between its first and its second reading is SOURCE_CHANGED", async () => {
    // With two tags to choose from, everything is hashed once before anything is sent.
    const source = await place.write("m", { "a.bin": seededBytes("a", 3 * mebi) });
    await place.push(await place.writeModel("m1", "1"), "a:v1");
    await place.push(await place.writeModel("m2", "2"), "a:v2");
    const pushing = place.push(source, "a:v3", {
      onProgress: (event) => {
        if (event.type === "start") spawnSync("truncate", ["-s", "1000", join(source, "a.bin")]);
      },
    });
    await expect(pushing).rejects.toMatchObject({ code: "SOURCE_CHANGED" });
    await expect(inspect({ reference: place.ref("a:v3") })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
  });

  test.each<[string, string, (source: string) => Promise<unknown>]>([
    ["is not there", "SOURCE_UNREADABLE", (source) => rm(source, { recursive: true })],
    [
      "has no file",
      "SOURCE_EMPTY",
      async (source) => {
        await rm(source, { recursive: true });
        await mkdir(join(source, "empty"), { recursive: true });
      },
    ],
    [
      "has a dangling link",
      "SOURCE_UNREADABLE",
      (source) => symlink("nowhere", join(source, "link")),
    ],
    [
      "has a link that leads out",
      "SOURCE_UNSUPPORTED",
      (source) => symlink("/etc/hostname", join(source, "link")),
    ],
    [
      "has a fifo",
      "SOURCE_UNSUPPORTED",
      async (source) => spawnSync("mkfifo", [join(source, "fifo")]),
    ],
    [
      "has a link to a device",
      "SOURCE_UNSUPPORTED",
      (source) => symlink("/dev/zero", join(source, "zero")),
    ],
    [
      "has a name that is not UTF-8",
      "INVALID_PATH",
      (source) => writeFile(Buffer.concat([Buffer.from(`${source}/`), Buffer.from([0xff])]), ""),
    ],
    [
      "has two names that are one in NFC",
      "INVALID_PATH",
      async (source) => {
        await writeFile(join(source, "\u00e9"), "");
        await writeFile(join(source, "e\u0301"), "");
      },
    ],
  ])("because it %s is %s, before anything is sent", async (_, code, spoil) => {
    const source = await place.write("m", { a: "a" });
    await spoil(source);
    const error: unknown = await place.push(source, "a:v1").catch((caught: unknown) => caught);
    expect(isModelError(error) ? error.code : error).toBe(code);
    expect(place.requests).toEqual([]);
  });

  test("because a file may not be read is SOURCE_UNREADABLE", async () => {
    const source = await place.write("m", { a: "a", secret: "s" });
    await chmod(join(source, "secret"), 0);
    await chmod(place.path, 0o755);
    const script = `await ballast.push(${JSON.stringify({ source, reference: place.ref("a:v1") })})
      .catch((error) => process.stdout.write(\`\${error.code} \${error.message} \${error.hint}\`));`;
    // Root reads everything, so another user asks.
    const asNobody =
      process.getuid?.() === 0 ? ["setpriv", "--reuid", "65534", "--clear-groups"] : [];
    const printed = await runLibraryProcess(script, { prefix: asNobody });
    expect(printed).toMatch(/^SOURCE_UNREADABLE .*secret.*permission denied.*readable/);
    expect(place.requests).toEqual([]);
  });
});

describe("unusual sources", () => {
  test("a single file is a model of one file", async () => {
    const source = await place.write("m", { "a.gguf": seededBytes("a", mebi) });
    await place.push(join(source, "a.gguf"), "a:v1");
    const { path } = await pull({ reference: place.ref("a:v1"), output: place.inside("out") });
    expect(await readTree(path)).toEqual(await readTree(source));
  });

  test("an empty file, alone or among others, arrives", async () => {
    const source = await place.write("m", { empty: "" });
    const { bytes, layers } = await place.push(source, "a:v1");
    expect([bytes.total, layers.total]).toEqual([0, 0]);
    const alone = await pull({ reference: place.ref("a:v1"), store: place.inside("store") });
    expect(await readTree(alone.path)).toEqual({ empty: digestOf("") });
    await writeFile(join(source, "full"), "x");
    await writeFile(join(source, "empty2"), "");
    await place.push(source, "a:v1");
    const more = await pull({ reference: place.ref("a:v1"), output: place.inside("out") });
    expect(await readTree(more.path)).toEqual(await readTree(source));
  });

  test("names in every script arrive", async () => {
    const names = [
      "模型/重み.bin",
      "модель",
      "نموذج",
      "מודל/שם",
      "🦙🏽.gguf",
      "café",
      " leading and trailing ",
      "new\nline",
      "tab\there",
      "quo\"te'`$(x)",
      "back\\slash",
      "-rf",
      "*?[a]",
      "%2e%2e",
      "a:b",
      "CON",
      "x".repeat(255),
    ];
    const source = await place.write(
      "m",
      Object.fromEntries(names.map((name) => [name, `in ${name}`])),
    );
    await writeFile(join(source, "decomposed e\u0301"), "d");
    const { files } = await place.push(source, "a:v1");
    expect(files).toBe(names.length + 1);
    const { path } = await pull({ reference: place.ref("a:v1"), output: place.inside("out") });
    const expected = Object.fromEntries(names.map((name) => [name, digestOf(`in ${name}`)]));
    expect(await readTree(path)).toEqual({ ...expected, "decomposed \u00e9": digestOf("d") });
  });

  test("names that differ only in case are warned about", async () => {
    const source = await place.write("m", { "A.txt": "1", "a.txt": "2" });
    const { warnings } = await place.push(source, "a:v1");
    expect(warnings.join()).toContain("A.txt");
  });

  test("globs choose what is packed", async () => {
    const source = await place.writeModel();
    const { files } = await place.push(source, "a:v1", { exclude: ["*.safetensors"] });
    expect(files).toBe(2);
    await expect(place.push(source, "a:v2", { include: ["*.none"] })).rejects.toMatchObject({
      code: "SOURCE_EMPTY",
    });
  });

  test("a file that grew since the last push moves only its end", async () => {
    const source = await place.write("m", { "log.bin": seededBytes("log", 50 * mebi) });
    await place.push(source, "a:v1");
    await appendFile(join(source, "log.bin"), seededBytes("tail", mebi));
    const grown = await place.push(source, "a:v2");
    expect(grown.bytes.moved).toBeLessThanOrEqual(34 * mebi);
    await truncate(join(source, "log.bin"), 50 * mebi);
    const back = await place.push(source, "a:v3");
    expect(back.bytes.moved).toBe(0);
  });
});
