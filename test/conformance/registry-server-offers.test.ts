import { afterEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { emptyConfigBytes } from "../../src/oci/manifest.ts";
import type { RegistryOptions } from "../../src/registry/server/server.ts";
import { errorCode, openRawRegistry, type RawRegistry } from "./raw-registry.ts";

let registry: RawRegistry | undefined;
afterEach(() => registry?.[Symbol.asyncDispose]());

const content = Buffer.from("0123456789");
const blob = `/v2/team/model/blobs/${digestOf(content)}`;

async function start(options: Omit<RegistryOptions, "root">): Promise<RawRegistry> {
  registry = await openRawRegistry(options);
  await registry.pushBlob("team/model", content);
  return registry;
}

describe("a registry that does not offer", () => {
  test("referrers answers 404 for them, and says nothing of a subject", async () => {
    const { send, pushManifest } = bind(await start({ offers: { referrers: false } }));
    const { digest } = await pushManifest("team/model", "v1");
    const subject = {
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      digest,
      size: emptyConfigBytes.byteLength,
    };
    const { response } = await pushManifest("team/model", undefined, { subject });
    expect([response.status, response.headers["oci-subject"]]).toEqual([201, undefined]);
    expect((await send("GET", `/v2/team/model/referrers/${digest}`)).status).toBe(404);
  });

  test("ranges sends all of a blob, and says nothing of ranges", async () => {
    const { send } = bind(await start({ offers: { ranges: false } }));
    const { status, headers, body } = await send("GET", blob, { headers: { range: "bytes=2-3" } });
    expect([status, headers["accept-ranges"], body]).toEqual([200, undefined, content]);
  });

  test("chunks refuses one, and takes a blob in one PATCH", async () => {
    const mine = await start({ offers: { chunked: false } });
    const refused = await mine.send("PATCH", await mine.openUpload("team/model"), {
      headers: { "content-range": "0-9" },
      body: content,
    });
    expect([refused.status, errorCode(refused)]).toEqual([405, "UNSUPPORTED"]);
    const taken = await mine.send("PATCH", await mine.openUpload("team/model"), { body: content });
    expect(taken.status).toBe(202);
  });

  test("deletes keeps tags, manifests and blobs, and lets an upload be cancelled", async () => {
    const mine = await start({ offers: { deletes: false } });
    await mine.pushManifest("team/model", "v1");
    for (const path of ["/v2/team/model/manifests/v1", blob])
      expect((await mine.send("DELETE", path)).status).toBe(405);
    expect((await mine.send("DELETE", await mine.openUpload("team/model"))).status).toBe(204);
  });

  test("mounts begins an upload instead", async () => {
    const { send } = bind(await start({ offers: { mounts: false } }));
    const query = `mount=${digestOf(content)}&from=team/model`;
    expect((await send("POST", `/v2/team/other/blobs/uploads/?${query}`)).status).toBe(202);
  });
});

describe("a registry with limits", () => {
  test("refuses a chunk that says it is larger than allowed with 416, and takes smaller ones", async () => {
    const mine = await start({ limits: { maxChunkBytes: 4 } });
    const path = await mine.openUpload("team/model");
    const refused = await mine.send("PATCH", path, { body: "12345" });
    expect([refused.status, errorCode(refused)]).toEqual([416, "BLOB_UPLOAD_INVALID"]);
    expect((await mine.send("PATCH", path, { body: "1234" })).status).toBe(202);
  });

  test("refuses a manifest with more layers, or more bytes, than allowed", async () => {
    const mine = await start({ limits: { maxLayers: 1, maxManifestBytes: 1000 } });
    const layer = {
      mediaType: "application/octet-stream",
      digest: digestOf(content),
      size: content.byteLength,
    };
    const push = async (layers: (typeof layer)[], annotations = {}) =>
      (await mine.pushManifest("team/model", "v1", { layers, annotations })).response;
    expect((await push([layer])).status).toBe(201);
    const refused = await push([layer, layer]);
    expect([refused.status, errorCode(refused)]).toEqual([400, "MANIFEST_INVALID"]);
    expect((await push([layer], { note: "x".repeat(1000) })).status).toBe(413);
  });

  test.each([
    ["an address", { requestsPerSecond: { perAddress: 1 } }],
    ["all", { requestsPerSecond: { total: 1 } }],
    ["a quota", { operationsPerMinute: 2 }],
  ])("answers 429 with Retry-After above the rate of %s", async (_, limits) => {
    registry = await openRawRegistry({ limits });
    const answers = [];
    for (let turn = 0; turn < 3; turn += 1) answers.push(await registry.send("GET", "/v2/"));
    expect(answers.slice(0, 2).map(({ status }) => status)).toEqual([200, 200]);
    const [, , last] = answers;
    expect(last && [last.status, errorCode(last)]).toEqual([429, "TOOMANYREQUESTS"]);
    expect(Number(last?.headers["retry-after"])).toBeGreaterThanOrEqual(1);
  });

  test("counts the requests of each account by itself", async () => {
    const auth = { username: "me", password: "secret" };
    registry = await openRawRegistry({ auth, limits: { requestsPerSecond: { perAccount: 1 } } });
    const authorization = `Basic ${Buffer.from("me:secret").toString("base64")}`;
    const statuses = [];
    for (let turn = 0; turn < 3; turn += 1)
      statuses.push((await registry.send("GET", "/v2/", { headers: { authorization } })).status);
    expect(statuses).toEqual([200, 200, 429]);
    expect((await registry.send("GET", "/v2/")).status).toBe(401);
  });

  test("refuses uploads with 507 before the first byte when the disk is nearly full, and is read on", async () => {
    registry = await openRawRegistry({ limits: { minFreeBytes: Number.MAX_SAFE_INTEGER } });
    const path = `/v2/team/model/blobs/uploads/?digest=${digestOf(content)}`;
    expect((await registry.send("POST", path, { body: content })).status).toBe(507);
    expect(await registry.unfinished("team/model")).toEqual([]);
    expect((await registry.send("GET", "/v2/")).status).toBe(200);
  });
});

describe("a registry that sends readers of blobs on", () => {
  const auth = { username: "me", password: "secret" };
  const authorization = `Basic ${Buffer.from("me:secret").toString("base64")}`;
  const follow = (mine: RawRegistry, location: string, headers: Record<string, string> = {}) => {
    const { pathname, search } = new URL(location);
    return mine.send("GET", `${pathname}${search}`, { headers });
  };

  test("gives them a URL that works without a login, with ranges, and not with one", async () => {
    registry = await openRawRegistry({ auth, redirectBlobs: { host: "localhost" } });
    const upload = `/v2/team/model/blobs/uploads/?digest=${digestOf(content)}`;
    await registry.send("POST", upload, { headers: { authorization }, body: content });
    expect((await registry.send("HEAD", blob, { headers: { authorization } })).status).toBe(200);
    const sentOn = await registry.send("GET", blob, { headers: { authorization } });
    const location = String(sentOn.headers.location);
    expect([sentOn.status, new URL(location).hostname]).toEqual([307, "localhost"]);
    expect((await follow(registry, location)).body).toEqual(content);
    const part = await follow(registry, location, { range: "bytes=2-3" });
    expect([part.status, part.body.toString()]).toEqual([206, "23"]);
    expect((await follow(registry, location, { authorization })).status).toBe(400);
    expect((await registry.send("GET", blob)).status).toBe(401);
  });

  test("takes a login beside a URL of its own host, to which clients send theirs on", async () => {
    registry = await openRawRegistry({ auth, redirectBlobs: {} });
    const upload = `/v2/team/model/blobs/uploads/?digest=${digestOf(content)}`;
    await registry.send("POST", upload, { headers: { authorization }, body: content });
    const sentOn = await registry.send("GET", blob, { headers: { authorization } });
    const location = String(sentOn.headers.location);
    const { status, body } = await follow(registry, location, { authorization });
    expect([status, body]).toEqual([200, content]);
  });

  test("refuses a URL that was changed, or whose time is over", async () => {
    const mine = await start({ redirectBlobs: { lifeMs: 60_000 } });
    const location = String((await mine.send("GET", blob)).headers.location);
    const other = location.replace(/expires=\d+/, `expires=${Date.now() + 1e9}`);
    expect((await follow(mine, other)).status).toBe(403);
    expect((await follow(mine, location.replace("team/model", "team/other"))).status).toBe(403);
    await mine[Symbol.asyncDispose]();
    const short = await start({ redirectBlobs: { lifeMs: -1 } });
    const old = String((await short.send("GET", blob)).headers.location);
    expect((await follow(short, old)).status).toBe(403);
  });

  test("says that a blob is not there instead of sending anybody on", async () => {
    const mine = await start({ redirectBlobs: {} });
    expect((await mine.send("GET", `/v2/team/model/blobs/${digestOf("none")}`)).status).toBe(404);
  });
});

/** Its methods, to be called by themselves. */
function bind(mine: RawRegistry) {
  return { send: mine.send.bind(mine), pushManifest: mine.pushManifest.bind(mine) };
}
