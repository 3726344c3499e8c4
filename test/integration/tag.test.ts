import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { parseReference } from "../../src/core/reference.ts";
import { inspect, listTags, type PushResult, push, tag } from "../../src/index.ts";
import { connect } from "../../src/model/connection.ts";
import { runBallast } from "../support/ballast-command.ts";
import { flipBit, openWorkplace, type Workplace } from "../support/workplace.ts";

let place: Workplace;
let pushed: PushResult;

beforeEach(async () => {
  place = await openWorkplace();
  pushed = await place.push(await place.writeModel(), "team/model:v1");
});
afterEach(async () => place[Symbol.asyncDispose]());

const run = (...args: string[]) => runBallast(args, { home: place.path });
const names = async (repository: string): Promise<string[]> =>
  (await listTags({ repository })).tags.map((each) => each.tag);

describe("tagging", () => {
  test("points tags at a model and moves nothing but its manifest", async () => {
    place.requests.length = 0;
    const result = await tag({ reference: place.ref("team/model:v1"), tags: ["v2", "stable"] });
    expect(result).toEqual({
      name: `${place.ref("team/model")}@${pushed.digest}`,
      digest: pushed.digest,
      tags: [
        { tag: "v2", previousDigest: undefined },
        { tag: "stable", previousDigest: undefined },
      ],
    });
    expect(place.requests.filter((line) => line.includes("/blobs/"))).toEqual([]);
    expect(place.requests.filter((line) => line.startsWith("PUT"))).toHaveLength(2);
    const { digest } = await inspect({ reference: place.ref("team/model:stable") });
    expect(digest).toBe(pushed.digest);
  });

  test("tells what a tag named before, and puts nothing where it names this already", async () => {
    const other = await place.push(await place.writeModel("b", "b"), "team/model:v2");
    place.requests.length = 0;
    const { tags } = await tag({ reference: pushed.name, tags: ["v2", "v1"] });
    expect(tags).toEqual([
      { tag: "v2", previousDigest: other.digest },
      { tag: "v1", previousDigest: pushed.digest },
    ]);
    expect(place.requests.filter((line) => line.startsWith("PUT"))).toHaveLength(1);
  });

  test("with noOverwrite over another model is TAG_EXISTS before any tag is set", async () => {
    await place.push(await place.writeModel("b", "b"), "team/model:v2");
    const wanted = { reference: pushed.name, noOverwrite: true };
    await expect(tag({ ...wanted, tags: ["new", "v2"] })).rejects.toMatchObject({
      code: "TAG_EXISTS",
    });
    expect(await names(place.ref("team/model"))).toEqual(["v1", "v2"]);
    await tag({ ...wanted, tags: ["v1", "new"] });
  });

  test("works in a layout folder, and makes none where there is none", async () => {
    const layout = `oci:${place.inside("layout")}`;
    await push({ source: place.inside("model"), reference: `${layout}:v1` });
    await tag({ reference: `${layout}:v1`, tags: ["v2"] });
    expect(await names(layout)).toEqual(["v1", "v2"]);
    const absent = `oci:${place.inside("absent")}`;
    await expect(tag({ reference: `${absent}:v1`, tags: ["v2"] })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    await expect(rm(place.inside("absent"))).rejects.toThrow("ENOENT");
  });

  test.each([
    ["v9", ["x"], "NOT_FOUND"],
    ["v1", ["not a tag"], "INVALID_ARGUMENT"],
    ["v1", ["team/model:v2"], "INVALID_ARGUMENT"],
    ["v1", [], "INVALID_ARGUMENT"],
  ])("of %s as %j is %s", async (from, tags, code) => {
    const reference = place.ref(`team/model:${from}`);
    await expect(tag({ reference, tags })).rejects.toMatchObject({ code });
  });

  test("tags artifacts of every kind", async () => {
    const { digest } = await putArtifact("sbom");
    const reference = `${place.ref("team/model")}@${digest}`;
    expect(await tag({ reference, tags: ["sbom"] })).toMatchObject({ digest });
  });

  test("prints the name, and what moved elsewhere", async () => {
    const model = place.ref("team/model");
    const first = await run("tag", `${model}:v1`, "v2", "v1");
    expect(first).toMatchObject({ code: 0, out: `${pushed.name}\n` });
    expect(first.err).toBe(`v2 is new: ${pushed.digest}\nv1 named it already\n`);
    const json = await run("tag", `${model}:v1`, "v3", "--json", "-q");
    expect(json.err).toBe("");
    expect(JSON.parse(json.out)).toMatchObject({ tags: [{ tag: "v3", previousDigest: null }] });
  });
});

describe("a list of tags", () => {
  test("is in natural order", async () => {
    const tags = ["v10", "v2", "latest", "v2.1", "V3"];
    await tag({ reference: pushed.name, tags });
    const sorted = ["latest", "v1", "v2", "v2.1", "V3", "v10"];
    expect(await names(place.ref("team/model"))).toEqual(sorted);
    const { out } = await run("tags", place.ref("team/model"));
    expect(out.trim().split("\n")).toEqual(sorted);
  });

  test("tells digest, size, type and time of each", async () => {
    const created = "2026-01-02T03:04:05Z";
    await place.push(place.inside("model"), "team/dated:v1", {
      annotations: { "org.opencontainers.image.created": created },
    });
    const repository = place.ref("team/dated");
    const { tags, hidden } = await listTags({ repository, details: true });
    const manifest = await fetchManifest("team/dated", "v1");
    const { layers, config } = JSON.parse(manifest.toString()) as {
      layers: { size: number }[];
      config: { size: number };
    };
    const bytes = [...layers, config].reduce((sum, each) => sum + each.size, manifest.byteLength);
    expect({ tags, hidden }).toEqual({
      tags: [
        {
          tag: "v1",
          digest: digestOf(manifest),
          mediaType: "application/vnd.oci.image.manifest.v1+json",
          artifactType: "application/vnd.ballast.model.v1+json",
          bytes,
          created,
        },
      ],
      hidden: 0,
    });
    const { out } = await run("tags", "--long", repository);
    for (const part of ["v1", created, digestOf(manifest), "MiB"]) expect(out).toContain(part);
  });

  test("asks for a manifest with many tags once", async () => {
    await tag({ reference: pushed.name, tags: ["a", "b", "c"] });
    place.requests.length = 0;
    await listTags({ repository: place.ref("team/model"), details: true });
    expect(place.requests.filter((line) => /^GET .*\/manifests\//.test(line))).toHaveLength(1);
  });

  test("leaves out tags that only keep signatures, and says how many", async () => {
    const kept = [`sha256-${"0".repeat(64)}`, `sha256-${"0".repeat(64)}.sig`];
    await tag({ reference: pushed.name, tags: kept });
    const repository = place.ref("team/model");
    expect(await listTags({ repository })).toMatchObject({ tags: [{ tag: "v1" }], hidden: 2 });
    const { out, err } = await run("tags", repository);
    expect({ out, err }).toEqual({
      out: "v1\n",
      err: "2 tags of signatures and the like: --all shows them\n",
    });
    expect((await run("tags", repository, "--all")).out.split("\n")).toEqual([...kept, "v1", ""]);
  });

  test("of a repository that does not exist is empty, which is said", async () => {
    const repository = place.ref("team/none");
    const { code, out, err } = await run("tags", repository);
    expect({ code, out }).toEqual({ code: 0, out: "" });
    expect(err).toContain(`${repository} has no tags, does not exist, or is hidden`);
    expect((await run("tags", `${repository}:v1`)).code).toBe(2);
  });

  test("has what is damaged as unknown", async () => {
    const layout = place.inside("layout");
    const reference = `oci:${layout}:v1`;
    const { digest } = await push({ source: place.inside("model"), reference });
    await flipBit(join(layout, "blobs", digest.replace(":", "/")), 20);
    const { tags } = await listTags({ repository: `oci:${layout}`, details: true });
    expect(tags).toMatchObject([{ tag: "v1", digest, bytes: undefined, artifactType: undefined }]);
  });
});

function artifact(name: string): Buffer {
  const empty = { mediaType: "application/vnd.oci.empty.v1+json", digest: digestOf("{}"), size: 2 };
  const manifest = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    artifactType: `application/vnd.example.${name}`,
    config: empty,
    layers: [empty],
  };
  return Buffer.from(JSON.stringify(manifest));
}

async function putArtifact(name: string) {
  const reference = parseReference(place.ref("team/model"));
  await using connection = await connect(reference, { writes: true });
  const { repository } = connection;
  await repository.putBlob({ digest: digestOf("{}"), size: 2 }, () => [Buffer.from("{}")]);
  const bytes = artifact(name);
  const mediaType = "application/vnd.oci.image.manifest.v1+json";
  return await repository.putManifest(digestOf(bytes), { mediaType, bytes });
}

async function fetchManifest(repository: string, wanted: string): Promise<Buffer> {
  await using connection = await connect(parseReference(place.ref(repository)), {});
  return (await connection.repository.fetchManifest(wanted)).bytes;
}
