import { chmod, mkdir, rename, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { push } from "../../src/model/push.ts";
import { runLibraryProcess } from "../support/library-process.ts";
import { openWorkplace, type Workplace } from "../support/workplace.ts";

let place: Workplace;

beforeEach(async () => {
  place = await openWorkplace();
});
afterEach(async () => place[Symbol.asyncDispose]());

const uploads = () => place.requests.filter((line) => /^(PUT|POST|PATCH) .*\/uploads\//.test(line));

describe("the digest of a push", () => {
  test("does not depend on where the files lie, when they were written, their modes or the target", async () => {
    const first = await place.push(await place.writeModel(), "a:v1");
    const moved = place.inside("elsewhere", "deep");
    await mkdir(place.inside("elsewhere"));
    await rename(place.inside("model"), moved);
    await utimes(join(moved, "config.json"), 1, 1);
    await chmod(join(moved, "config.json"), 0o400);
    expect((await place.push(moved, "b/c:other")).digest).toBe(first.digest);
    const layout = await push({ source: moved, reference: `oci:${place.inside("layout")}:v9` });
    expect(layout.digest).toBe(first.digest);
  });

  test("does not depend on umask, locale, time zone or the folder it is started in", async () => {
    const source = await place.writeModel();
    const here = await place.push(source, "a:v1");
    const run = (name: string, env: Record<string, string>, umask: string) => {
      const options = JSON.stringify({ source, reference: place.ref(name) });
      const prefix = ["sh", "-c", `umask ${umask}; cd /; exec "$@"`, "sh"];
      const script = `process.stdout.write((await ballast.push(${options})).digest);`;
      return runLibraryProcess(script, { env, prefix });
    };
    const turkish = { LC_ALL: "tr_TR.UTF-8", TZ: "Asia/Kathmandu" };
    expect(await run("b:v1", turkish, "0777")).toBe(here.digest);
    expect(await run("c:v1", { LANG: "C", TZ: "UTC" }, "0000")).toBe(here.digest);
  });

  test("does not depend on the order in which the folder lists its files", async () => {
    const names = Array.from({ length: 40 }, (_, at) => `file ${at}`);
    const forwards = await place.write("f", Object.fromEntries(names.map((name) => [name, name])));
    const backwards = await place.write(
      "b",
      Object.fromEntries(names.toReversed().map((name) => [name, name])),
    );
    expect((await place.push(forwards, "a:v1")).digest).toBe(
      (await place.push(backwards, "b:v1")).digest,
    );
  });

  test("is that of the plain folder for a Hugging Face cache of links", async () => {
    const source = await place.writeModel();
    const plain = await place.push(source, "plain:v1");
    const commit = "0123456789abcdef0123456789abcdef01234567";
    const cache = place.inside("hub", "models--org--name");
    const snapshotFolder = join(cache, "snapshots", commit);
    await mkdir(join(snapshotFolder, "sub"), { recursive: true });
    await mkdir(join(cache, "refs"));
    await mkdir(join(cache, "blobs"));
    await writeFile(join(cache, "refs", "main"), commit);
    for (const [number, path] of ["model.safetensors", "sub/other.bin", "config.json"].entries()) {
      await rename(join(source, path), join(cache, "blobs", String(number)));
      const up = path.includes("/") ? "../../../blobs" : "../../blobs";
      await symlink(`${up}/${number}`, join(snapshotFolder, path));
    }
    const { digest, annotations } = await place.push(cache, "cached:v1");
    expect(digest).toBe(plain.digest);
    expect(annotations).toEqual(plain.annotations);
    expect((await place.push(snapshotFolder, "snapshot:v1")).digest).toBe(plain.digest);
  });

  test("is the same again for the same model, and nothing moves", async () => {
    const source = await place.writeModel();
    const first = await place.push(source, "a:v1");
    expect(first.bytes.moved).toBe(first.bytes.total);
    place.requests.length = 0;
    const second = await place.push(source, "a:v1");
    expect(second).toMatchObject({
      digest: first.digest,
      previousDigest: undefined,
      bytes: { total: first.bytes.total, moved: 0, reused: first.bytes.total },
      layers: { total: first.layers.total, moved: 0 },
    });
    expect(uploads()).toEqual([]);
    const third = await place.push(source, "a:other", { base: false });
    expect(third.digest).toBe(first.digest);
    expect(uploads()).toEqual([]);
  });
});
