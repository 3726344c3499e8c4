import { once } from "node:events";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { copy } from "../../src/index.ts";
import { openRepository, putArtifact, putIndex } from "../support/artifacts.ts";
import { startLibraryProcess } from "../support/library-process.ts";
import { errorBody, startFaultRegistry } from "../support/registry-faults.ts";
import { flipBit, mebi, openWorkplace, type Workplace } from "../support/workplace.ts";

let place: Workplace;

beforeEach(async () => {
  place = await openWorkplace();
});
afterEach(() => place[Symbol.asyncDispose]());

/** A source with one artifact as `v1`; resolves to the digests it has. */
async function putSource(reference: string, layers = ["one", "two"], layerBytes = 1000) {
  await using source = await openRepository(reference);
  const { digest } = await putArtifact(source.repository, "art", { as: "v1", layers, layerBytes });
  const { bytes } = await source.repository.fetchManifest(digest);
  const manifest = JSON.parse(bytes.toString()) as { layers: { digest: string }[] };
  return { digest, layers: manifest.layers.map((layer) => layer.digest) };
}

function folderBlob(folder: string, digest: string): string {
  return join(place.inside(folder), "blobs", digest.replace(":", "/"));
}

describe("a copy whose source", () => {
  test("has lost a blob says so, names it, and leaves nothing at the target", async () => {
    const { layers } = await putSource(place.ref("team/from"));
    await rm(place.blob("team/from", layers[1] ?? ""));
    await using target = await startFaultRegistry();
    const copying = copy({ source: place.ref("team/from:v1"), target: `${target.host}/to` });
    await expect(copying).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: expect.stringMatching(`^source.*${layers[1]}.*${place.ref("team/from")}`) as string,
    });
    expect(target.manifests.size).toBe(0);
  });

  test.each([
    { to: "registry", bytes: 1000 },
    { to: "registry", bytes: 5 * mebi },
    { to: "folder", bytes: 1000 },
    { to: "linked folder", bytes: 5 * mebi },
  ])(
    "gives wrong bytes is blamed for them, and a $to gets none of them ($bytes bytes)",
    async ({ to, bytes }) => {
      const isLinked = to === "linked folder";
      const from = isLinked ? `oci:${place.inside("from")}` : place.ref("team/from");
      const { layers } = await putSource(from, ["one", "two"], bytes);
      const wrong = layers[1] ?? "";
      await flipBit(isLinked ? folderBlob("from", wrong) : place.blob("team/from", wrong), 10);
      await using registry = await startFaultRegistry();
      const target = to === "registry" ? `${registry.host}/to` : `oci:${place.inside("to")}`;
      await expect(copy({ source: `${from}:v1`, target })).rejects.toMatchObject({
        code: "DIGEST_MISMATCH",
        message: expect.stringMatching(`^source.*${wrong}`) as string,
      });
      expect(registry.blobs.has(wrong)).toBe(false);
      await using opened = await openRepository(target);
      expect(await opened.repository.statBlob(wrong as never)).toBeUndefined();
      expect(await opened.repository.listTags()).toEqual([]);
    },
  );

  test("moves its tag meanwhile gives what the tag named first, whole, and a warning", async () => {
    await using source = await startFaultRegistry();
    const { digest } = await putSource(`${source.host}/from`);
    await using other = await openRepository(`${source.host}/from`);
    const newer = await putArtifact(other.repository, "newer", { as: "next" });
    source.intercept = ({ method, url }) => {
      const next = source.manifests.get("next");
      if (method === "GET" && url.includes("/blobs/") && next) source.manifests.set("v1", next);
      return undefined;
    };
    const result = await copy({ source: `${source.host}/from:v1`, target: place.ref("team/to") });
    expect(result.copies).toMatchObject([{ digest, tag: "v1" }]);
    expect(result.warnings).toEqual([expect.stringContaining(`moved to ${newer.digest}`)]);
    await using target = await openRepository(place.ref("team/to"));
    expect((await target.repository.resolveManifest("v1"))?.digest).toBe(digest);
    expect(await target.repository.resolveManifest(newer.digest)).toBeUndefined();
  });

  test("lists a referrer that is gone, or is none, gives all the rest, and a warning of each", async () => {
    await using source = await startFaultRegistry();
    await using opened = await openRepository(`${source.host}/from`);
    const { digest } = await putSource(`${source.host}/from`);
    const other = await putArtifact(opened.repository, "other");
    const gone = { ...other, digest: `sha256:${"a".repeat(64)}` };
    const mediaType = "application/vnd.oci.image.index.v1+json";
    const list = { schemaVersion: 2, mediaType, manifests: [gone, other] };
    const bytes = Buffer.from(JSON.stringify(list));
    source.manifests.set(digest.replace(":", "-"), { mediaType, bytes });
    const result = await copy({ source: `${source.host}/from:v1`, target: place.ref("team/to") });
    expect(result).toMatchObject({ copies: [{ digest }], referrers: { total: 0 } });
    expect(result.warnings).toHaveLength(2);
    const about = (each: string) => result.warnings.find((warning) => warning.includes(each));
    expect(about(other.digest)).toContain("does not refer to it: left out");
    expect(about(gone.digest)).toContain("is not there: left out");
  });

  test("names layers that are only elsewhere leaves these out, with a note", async () => {
    const source = await openRepository(`oci:${place.inside("from")}`);
    const { digest } = await putArtifact(source.repository, "art", { as: "v1", foreign: "far" });
    const notes: string[] = [];
    const result = await copy({
      source: `oci:${place.inside("from")}:v1`,
      target: place.ref("team/to"),
      onProgress: (event) => event.type === "notice" && notes.push(event.message),
    });
    expect(result).toMatchObject({ copies: [{ digest }], blobs: { leftOut: 1, moved: 2 } });
    expect(notes).toEqual([expect.stringContaining("left out")]);
  });
});

describe("a copy whose target", () => {
  test("loses blobs between their upload and the manifest gets them again, once", async () => {
    const { digest, layers } = await putSource(place.ref("team/from"));
    await using target = await startFaultRegistry();
    let losses = 0;
    target.intercept = ({ method, url }) => {
      if (method !== "PUT" || !url.includes("/manifests/") || losses > 0) return undefined;
      losses += 1;
      target.blobs.delete(layers[0] ?? "");
      return { status: 404, body: errorBody("MANIFEST_BLOB_UNKNOWN") };
    };
    await copy({ source: place.ref("team/from:v1"), target: `${target.host}/to` });
    expect(losses).toBe(1);
    expect(target.manifests.has(digest)).toBe(true);
    expect(target.blobs.has(layers[0] ?? "")).toBe(true);
  });

  test("never keeps its blobs makes it end with BLOB_UNKNOWN, naming the target", async () => {
    await putSource(place.ref("team/from"));
    await using target = await startFaultRegistry();
    target.intercept = ({ method, url }) =>
      method === "PUT" && url.includes("/manifests/")
        ? { status: 404, body: errorBody("MANIFEST_BLOB_UNKNOWN") }
        : undefined;
    const copying = copy({ source: place.ref("team/from:v1"), target: `${target.host}/to` });
    await expect(copying).rejects.toMatchObject({
      code: "BLOB_UNKNOWN",
      message: expect.stringMatching(`^target.*${target.host}`) as string,
    });
  });

  test("is busy for a moment on either side is asked again", async () => {
    await using source = await startFaultRegistry();
    await using target = await startFaultRegistry();
    const { digest } = await putSource(`${source.host}/from`);
    const busy = { headers: { "retry-after": "0" } };
    source.answers.push({ on: /^GET .*\/blobs\//, status: 503, ...busy });
    source.blobFaults.push({ resetAfter: 500 });
    target.answers.push({ on: /^POST /, status: 429, ...busy });
    target.answers.push({ on: /^PUT .*\/manifests\//, status: 503, ...busy });
    await copy({ source: `${source.host}/from:v1`, target: `${target.host}/to` });
    expect(target.manifests.has(digest)).toBe(true);
    expect([...target.blobs.keys()].sort()).toEqual([...source.blobs.keys()].sort());
  });

  test("takes fewer layers than there are is refused them before the first byte", async () => {
    const layers = Array.from({ length: 501 }, () => "same");
    const { digest } = await putSource(`oci:${place.inside("from")}`, layers);
    const copying = copy({
      source: `oci:${place.inside("from")}:v1`,
      target: place.ref("team/to"),
      to: { registryProfile: "ecr" },
    });
    await expect(copying).rejects.toMatchObject({
      code: "REGISTRY_LIMIT",
      message: expect.stringMatching(`${digest} needs 501 layers; target .* takes \\d+ `) as string,
    });
    expect(place.requests.filter((line) => /^(?:POST|PUT|PATCH) /.test(line))).toEqual([]);
  });
});

describe("a copy that is interrupted", () => {
  test("by kill -9 is continued: only what is missing moves, nothing was visible", async () => {
    const names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    const from = `oci:${place.inside("from")}`;
    const { digest } = await putSource(from, names, 16 * mebi);
    const target = place.ref("team/to");
    const options = JSON.stringify({ source: `${from}:v1`, target });
    const child = startLibraryProcess(`await ballast.copy(${options});`);
    const killed = once(child, "exit");
    place.onRequest = (line) => {
      if (/^PUT .*\/uploads\/.* 201$/.test(line)) child.kill("SIGKILL");
    };
    await killed;
    place.onRequest = undefined;
    await using opened = await openRepository(target);
    expect(await opened.repository.listTags()).toEqual([]);
    const result = await copy({ source: `${from}:v1`, target });
    expect(result.copies).toMatchObject([{ digest }]);
    expect(result.blobs.there).toBeGreaterThan(0);
    expect(result.blobs.moved).toBe(result.blobs.total - result.blobs.there);
    expect((await opened.repository.resolveManifest("v1"))?.digest).toBe(digest);
  });

  test("by its caller ends with CANCELLED, and a folder is left without a trace of half a blob", async () => {
    const from = place.ref("team/from");
    await putSource(from, ["a", "b"], 8 * mebi);
    const stop = new AbortController();
    const target = `oci:${place.inside("to")}`;
    const copying = copy({
      source: `${from}:v1`,
      target,
      signal: stop.signal,
      onProgress: (event) => event.type === "bytes" && event.fileSize > mebi && stop.abort(),
    });
    await expect(copying).rejects.toMatchObject({ code: "CANCELLED" });
    const { readdir } = await import("node:fs/promises");
    expect(await readdir(place.inside("to"))).not.toContain("uploads");
    const { blobs } = await copy({ source: `${from}:v1`, target });
    expect(blobs.there + blobs.moved).toBe(3);
  });

  test("between a referrer and its place in the list is healed by the next", async () => {
    await using source = await openRepository(place.ref("team/from"));
    const top = await putIndex(source.repository, [], { as: "v1" });
    const signed = await putArtifact(source.repository, "signature", { subject: top });
    await using target = await startFaultRegistry();
    const options = { source: place.ref("team/from:v1"), target: `${target.host}/to` };
    await copy(options);
    const list = top.digest.replace(":", "-");
    expect(target.manifests.get(list)?.bytes.toString()).toContain(signed.digest);
    target.manifests.delete(list);
    await copy(options);
    expect(target.manifests.get(list)?.bytes.toString()).toContain(signed.digest);
  });
});

test("two copies to one target at once both end well", async () => {
  const { digest } = await putSource(place.ref("team/from"), ["a", "b", "c"], mebi);
  for (const target of [place.ref("team/to"), `oci:${place.inside("to")}`]) {
    const copying = [1, 2].map(() => copy({ source: place.ref("team/from:v1"), target }));
    for (const { copies } of await Promise.all(copying)) expect(copies).toMatchObject([{ digest }]);
    await using opened = await openRepository(target);
    expect((await opened.repository.resolveManifest("v1"))?.digest).toBe(digest);
  }
});
