import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { pull } from "../../src/model/pull.ts";
import { makeSafetensors } from "../support/models.ts";
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

const writes = () => place.requests.filter((line) => !/^(GET|HEAD) /.test(line));

describe("the base of a push", () => {
  const tensor = (name: string, seed: string) => ({
    name: `layers.${name}.weight`,
    dtype: "U8",
    shape: [9 * mebi],
    bytes: seededBytes(seed, 9 * mebi),
  });
  /** Three tensors of a chunk each. */
  const writeWeights = (name: string, ...seeds: [string, string, string]) =>
    place.write(name, {
      "model.safetensors": makeSafetensors(seeds.map((seed, at) => tensor(String(at), seed))),
    });
  const slack = 10_000;

  test("is the tag that it replaces", async () => {
    await place.push(await writeWeights("other", "x", "y", "z"), "a:v9");
    const first = await place.push(await writeWeights("m1", "a", "b", "c"), "a:main");
    const second = await place.push(await writeWeights("m2", "a", "b", "d"), "a:main");
    expect(second.base).toMatchObject({ digest: first.digest });
    expect(second.base?.reusedBytes).toBeGreaterThanOrEqual(18 * mebi);
    expect(second.bytes.moved).toBeLessThan(9 * mebi * 1.05 + slack);
  });

  test("is the best of the newest three tags, by version", async () => {
    const best = await place.push(await writeWeights("m1", "a", "b", "c"), "a:v2");
    await place.push(await writeWeights("m2", "a", "x", "y"), "a:v10", { base: false });
    await place.push(await writeWeights("m3", "p", "q", "r"), "a:v9", { base: false });
    const pushed = await place.push(await writeWeights("m4", "a", "b", "d"), "a:v11");
    expect(pushed.base?.digest).toBe(best.digest);
    expect(pushed.bytes.moved).toBeLessThan(9 * mebi * 1.05 + slack);
    const out = await pull({ reference: place.ref("a:v11"), output: place.inside("out") });
    expect(await readTree(out.path)).toEqual(await readTree(place.inside("m4")));
    // v2 is not among the newest three now: v11 has what it had.
    const next = await place.push(place.inside("m1"), "a:v12");
    expect(next.base?.digest).toBe(pushed.digest);
  });

  test("is none when nothing is shared, or nobody wants one", async () => {
    await place.push(await writeWeights("m1", "a", "b", "c"), "a:v1");
    expect(
      (await place.push(await writeWeights("m2", "d", "e", "f"), "a:v2")).base,
    ).toBeUndefined();
    const alone = await place.push(await writeWeights("m3", "a", "b", "g"), "a:v3", {
      base: false,
    });
    expect(alone.base).toBeUndefined();
    const elsewhere = await place.push(place.inside("m3"), "fresh:v1");
    expect(alone.digest).toBe(elsewhere.digest);
  });

  test("passes over tags that are no models of ours", async () => {
    await place.push(await writeWeights("m1", "a", "b", "c"), "a:v1");
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: "application/vnd.oci.image.index.v1+json",
      manifests: [],
    });
    for (const tag of ["v2", "main"]) {
      const url = `http://${place.ref("").replace(/\/$/, "")}/v2/a/manifests/${tag}`;
      const headers = { "content-type": "application/vnd.oci.image.index.v1+json" };
      expect((await fetch(url, { method: "PUT", headers, body: manifest })).status).toBe(201);
    }
    const pushed = await place.push(await writeWeights("m2", "a", "b", "d"), "a:main");
    expect(pushed.base?.reusedBytes).toBeGreaterThanOrEqual(18 * mebi);
  });

  test("can be named in the same repository, or in another one whose layers are mounted", async () => {
    const base = await place.push(await writeWeights("m1", "a", "b", "c"), "org/base:v1");
    const source = await writeWeights("m2", "a", "b", "d");
    const same = await place.push(source, "org/base:tuned", { base: place.ref("org/base:v1") });
    expect(same.base?.digest).toBe(base.digest);
    place.requests.length = 0;
    const other = await place.push(source, "someone/tune:v1", {
      base: `${place.ref("org/base")}@${base.digest}`,
    });
    expect(other.base?.digest).toBe(base.digest);
    expect(other.digest).toBe(same.digest);
    expect(other.bytes.moved).toBeLessThan(9 * mebi * 1.05 + slack);
    const mounted = place.requests.filter(
      (line) => line.startsWith("POST ") && line.endsWith(" 201"),
    );
    expect(mounted.length).toBeGreaterThan(0);
    const { path } = await pull({
      reference: place.ref("someone/tune:v1"),
      output: place.inside("o"),
    });
    expect(await readTree(path)).toEqual(await readTree(source));
  });

  test.each([
    ["registry.example.com/org/base:v1", "INVALID_ARGUMENT"],
    ["oci:/somewhere:v1", "INVALID_ARGUMENT"],
    ["not a reference", "INVALID_REFERENCE"],
  ])("%s is refused for a model of another place", async (base, code) => {
    const source = await place.writeModel();
    await expect(place.push(source, "a:v1", { base })).rejects.toMatchObject({ code });
    expect(writes()).toEqual([]);
  });

  test("that is not there is an error", async () => {
    const source = await place.writeModel();
    const pushing = place.push(source, "a:v1", { base: place.ref("a:none") });
    await expect(pushing).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(writes()).toEqual([]);
  });
});
