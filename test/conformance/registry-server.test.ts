import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { openLayout } from "../../src/oci/layout/open-layout.ts";
import { emptyConfig } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import type { AccessRecord } from "../../src/registry/server/conversation.ts";
import { startRegistry } from "../../src/registry/server/server.ts";
import { makeCertificates } from "../support/certificates.ts";
import { errorCode, openRawRegistry, type RawRegistry } from "./raw-registry.ts";

const none = digestOf("there is no such content");
const json = { "content-type": mediaTypes.imageManifest };
let registry: RawRegistry;

beforeAll(async () => {
  registry = await openRawRegistry();
});
afterAll(async () => registry[Symbol.asyncDispose]());

describe("the endpoints", () => {
  test.each(["/v2/", "/v2"])("%s says that this is a registry", async (path) => {
    const { status, headers } = await registry.send("GET", path);
    expect(status).toBe(200);
    expect(headers["docker-distribution-api-version"]).toBe("registry/2.0");
  });

  test.each([
    ["GET", "/", 404, "UNSUPPORTED"],
    ["GET", "/v2/_catalog", 404, "UNSUPPORTED"],
    ["GET", "/v2/team/model", 404, "UNSUPPORTED"],
    ["POST", "/v2/team/model/tags/list", 405, "UNSUPPORTED"],
    ["GET", "/v2/team/model/blobs/uploads/", 405, "UNSUPPORTED"],
    ["GET", "/v2/none/tags/list", 404, "NAME_UNKNOWN"],
    ["GET", "/v2/none/manifests/v1", 404, "NAME_UNKNOWN"],
    ["GET", `/v2/none/blobs/${none}`, 404, "NAME_UNKNOWN"],
    ["GET", "/v2/none/blobs/uploads/123", 404, "BLOB_UPLOAD_UNKNOWN"],
    ["GET", "/v2/none/blobs/sha256:abc", 400, "DIGEST_INVALID"],
    ["GET", `/v2/none/blobs/sha512:${"a".repeat(128)}`, 404, "NAME_UNKNOWN"],
    ["GET", `/v2/none/blobs/sha512:${"a".repeat(64)}`, 400, "DIGEST_INVALID"],
    ["GET", `/v2/none/blobs/sha384:${"a".repeat(96)}`, 400, "DIGEST_INVALID"],
    ["GET", "/v2/none/referrers/v1", 400, "DIGEST_INVALID"],
    ["PUT", "/v2/none/manifests/-bad", 400, "MANIFEST_INVALID"],
    ["DELETE", "/v2/none/manifests/v1", 404, "NAME_UNKNOWN"],
  ])("%s %s is %i %s", async (method, path, status, code) => {
    const response = await registry.send(method, path);
    expect([response.status, errorCode(response)]).toEqual([status, code]);
  });

  test.each([
    "/v2/Upper/tags/list",
    "/v2/../../etc/tags/list",
    "/v2/..%2f..%2fetc/tags/list",
    "/v2/%2e%2e/%2e%2e/tags/list",
    "/v2/a/..%2fb/tags/list",
    "/v2/a//b/tags/list",
    "/v2/a+b/tags/list",
    "/v2/a%00b/tags/list",
    `/v2/${"a".repeat(256)}/tags/list`,
    "/v2/%zz/tags/list",
  ])("the name in %s is refused", async (path) => {
    const response = await registry.send("GET", path);
    expect([response.status, errorCode(response)]).toEqual([400, "NAME_INVALID"]);
  });

  test.each(["..%2f..%2findex.json", "..", "%2e%2e%2fuploads", "a%2fb"])(
    "%s as a tag, digest or upload reads nothing",
    async (reference) => {
      await registry.pushManifest("tricks", "v1");
      for (const kind of ["manifests", "blobs", "blobs/uploads"]) {
        const { status } = await registry.send("GET", `/v2/tricks/${kind}/${reference}`);
        expect([400, 404]).toContain(status);
      }
    },
  );

  test("HEAD of something missing has a status and no body", async () => {
    const { status, body } = await registry.send("HEAD", "/v2/none/manifests/v1");
    expect([status, body.byteLength]).toEqual([404, 0]);
  });
});

describe("manifests", () => {
  test("a pushed manifest comes back by tag and digest, with its type and digest", async () => {
    const { digest, bytes, response } = await registry.pushManifest("team/model", "v1");
    expect(response.status).toBe(201);
    expect(response.headers.location).toBe(`/v2/team/model/manifests/${digest}`);
    for (const reference of ["v1", digest]) {
      const path = `/v2/team/model/manifests/${reference}`;
      const found = await registry.send("GET", path);
      expect(found.body.equals(bytes)).toBe(true);
      const head = await registry.send("HEAD", path, { headers: { accept: "text/html" } });
      expect(head.body.byteLength).toBe(0);
      for (const { status, headers } of [found, head]) {
        expect(status).toBe(200);
        expect(headers["docker-content-digest"]).toBe(digest);
        expect(headers["content-type"]).toBe(mediaTypes.imageManifest);
        expect(headers["content-length"]).toBe(String(bytes.byteLength));
      }
    }
  });

  test("who has the manifest already is told so", async () => {
    const { digest } = await registry.pushManifest("team/model", "v1");
    const headers = { "if-none-match": `"${digest}"` };
    const { status } = await registry.send("GET", "/v2/team/model/manifests/v1", { headers });
    expect(status).toBe(304);
  });

  test("the folder of a repository is an OCI layout of that name", async () => {
    const { digest } = await registry.pushManifest("team/readable", "v1");
    const layout = await openLayout(join(registry.root, "team+readable"));
    expect((await layout.resolveManifest("v1"))?.digest).toBe(digest);
  });

  test("a repository whose folder was removed under the server is unknown, then new", async () => {
    await registry.pushManifest("gone", "v1");
    await rm(join(registry.root, "gone"), { recursive: true });
    expect((await registry.send("GET", "/v2/gone/manifests/v1")).status).toBe(404);
    const { response } = await registry.pushManifest("gone", "v2");
    expect(response.status).toBe(201);
  });

  test("every missing blob is named", async () => {
    const missing = [digestOf("layer one"), digestOf("layer two")];
    const layers = missing.map((digest) => ({ mediaType: mediaTypes.layer, digest, size: 9 }));
    const { response } = await registry.pushManifest("missing", "v1", { layers });
    expect(response.status).toBe(404);
    expect(JSON.parse(response.body.toString())).toMatchObject({
      errors: missing.map((digest) => ({ code: "MANIFEST_BLOB_UNKNOWN", detail: { digest } })),
    });
  });

  test("the digest of the path must be that of the body", async () => {
    const { bytes } = await registry.pushManifest("team/model");
    const response = await registry.send("PUT", `/v2/team/model/manifests/${none}`, {
      headers: json,
      body: bytes,
    });
    expect([response.status, errorCode(response)]).toEqual([400, "DIGEST_INVALID"]);
  });

  test.each([
    ["no JSON", "text"],
    ["no manifest", "{}"],
    ["the first schema", '{"schemaVersion":1,"config":{},"layers":[]}'],
    ["index and manifest at once", '{"schemaVersion":2,"manifests":[],"layers":[]}'],
    ["another media type", `{"schemaVersion":2,"mediaType":"application/x","manifests":[]}`],
  ])("a body that is %s is MANIFEST_INVALID", async (_what, body) => {
    const response = await registry.send("PUT", "/v2/bad/manifests/v1", { headers: json, body });
    expect([response.status, errorCode(response)]).toEqual([400, "MANIFEST_INVALID"]);
  });

  test("a manifest above 4 MiB is 413, and the connection's next request works", async () => {
    const body = Buffer.alloc(4_194_305, 32);
    const response = await registry.send("PUT", "/v2/big/manifests/v1", { headers: json, body });
    expect([response.status, errorCode(response)]).toEqual([413, "SIZE_INVALID"]);
    expect((await registry.send("GET", "/v2/")).status).toBe(200);
  });

  test("a deleted tag is gone, its manifest is not; a deleted manifest is", async () => {
    const { digest } = await registry.pushManifest("deleting", "v1");
    const path = "/v2/deleting/manifests";
    expect((await registry.send("DELETE", `${path}/v1`)).status).toBe(202);
    expect((await registry.send("GET", `${path}/v1`)).status).toBe(404);
    expect((await registry.send("GET", `${path}/${digest}`)).status).toBe(200);
    expect((await registry.send("DELETE", `${path}/${digest}`)).status).toBe(202);
    expect((await registry.send("GET", `${path}/${digest}`)).status).toBe(404);
    expect((await registry.send("DELETE", `${path}/${digest}`)).status).toBe(404);
  });
});

describe("tags", () => {
  const pages = "/v2/tagged/tags/list";
  beforeAll(async () => {
    for (const tag of ["v2", "v10", "a", "Z"]) await registry.pushManifest("tagged", tag);
  });

  test.each([
    ["", ["Z", "a", "v10", "v2"], undefined],
    ["?n=2", ["Z", "a"], `<${pages}?n=2&last=a>; rel="next"`],
    ["?n=2&last=a", ["v10", "v2"], undefined],
    ["?n=100", ["Z", "a", "v10", "v2"], undefined],
    ["?last=b", ["v10", "v2"], undefined],
    ["?last=zzz", [], undefined],
    ["?n=0", [], undefined],
  ])("the list with %j is %j", async (query, tags, link) => {
    const { status, headers, body } = await registry.send("GET", `${pages}${query}`);
    expect(status).toBe(200);
    expect(JSON.parse(body.toString())).toEqual({ name: "tagged", tags });
    expect(headers["link"]).toBe(link);
  });

  test("a page size that is no number is refused", async () => {
    expect((await registry.send("GET", `${pages}?n=many`)).status).toBe(400);
  });
});

describe("referrers", () => {
  test("the manifests with a subject are listed, filtered by artifact type", async () => {
    const { digest, bytes } = await registry.pushManifest("noted", "v1");
    const subject = { mediaType: mediaTypes.imageManifest, digest, size: bytes.byteLength };
    const annotations = { "com.example.author": "somebody" };
    const artifactType = "application/vnd.example.note+json";
    const note = await registry.pushManifest("noted", undefined, {
      artifactType,
      subject,
      annotations,
    });
    expect(note.response.headers["oci-subject"]).toBe(digest);
    const other = await registry.pushManifest("noted", "other", { subject });
    const path = `/v2/noted/referrers/${digest}`;

    const all = await registry.send("GET", path);
    expect(all.headers["content-type"]).toBe(mediaTypes.imageIndex);
    expect(all.headers["oci-filters-applied"]).toBeUndefined();
    expect(JSON.parse(all.body.toString())).toEqual({
      schemaVersion: 2,
      mediaType: mediaTypes.imageIndex,
      manifests: expect.toSatisfy((list: unknown[]) => list.length === 2) as unknown,
    });
    expect(JSON.parse(all.body.toString())).toMatchObject({
      manifests: expect.arrayContaining([
        {
          mediaType: mediaTypes.imageManifest,
          digest: note.digest,
          size: note.bytes.byteLength,
          artifactType,
          annotations,
        },
        {
          mediaType: mediaTypes.imageManifest,
          digest: other.digest,
          size: other.bytes.byteLength,
          artifactType: emptyConfig.mediaType,
        },
      ]) as unknown,
    });

    for (const filter of [encodeURIComponent(artifactType), artifactType]) {
      const some = await registry.send("GET", `${path}?artifactType=${filter}`);
      expect(some.headers["oci-filters-applied"]).toBe("artifactType");
      expect(JSON.parse(some.body.toString())).toMatchObject({
        manifests: [{ digest: note.digest }],
      });
    }
  });

  test("a subject that nobody refers to has an empty list, not a 404", async () => {
    const { status, body } = await registry.send("GET", `/v2/unheard-of/referrers/${none}`);
    expect(status).toBe(200);
    expect(JSON.parse(body.toString())).toMatchObject({ manifests: [] });
  });
});

describe("a registry's life", () => {
  let mine: RawRegistry | undefined;
  afterEach(async () => mine?.[Symbol.asyncDispose]());

  test("with an account, nothing works without it", async () => {
    mine = await openRawRegistry({ auth: { username: "user", password: "p:ss" } });
    const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;
    const wrong = [undefined, basic("user:wrong"), basic("user"), "Bearer abc", "Basic ", "x"];
    for (const authorization of wrong) {
      const headers = authorization === undefined ? {} : { authorization };
      const response = await mine.send("GET", "/v2/", { headers });
      expect([response.status, errorCode(response)]).toEqual([401, "UNAUTHORIZED"]);
      expect(response.headers["www-authenticate"]).toMatch(/^Basic realm=/);
    }
    const headers = { authorization: basic("user:p:ss") };
    expect((await mine.send("GET", "/v2/", { headers })).status).toBe(200);
  });

  test("with a certificate it speaks HTTPS", async () => {
    const folder = await mkdtemp(join(tmpdir(), "registry-tls-"));
    const { server } = await makeCertificates(folder);
    mine = await openRawRegistry({ tls: { key: server.key, cert: server.certificate } });
    await rm(folder, { recursive: true });
    expect(mine.server.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    const { response } = await mine.pushManifest("secure", "v1");
    expect(response.status).toBe(201);
  });

  test("each request is reported once, without its query", async () => {
    const records: AccessRecord[] = [];
    mine = await openRawRegistry({ onRequest: (record) => void records.push(record) });
    await mine.send("GET", "/v2/none/tags/list?n=1");
    await mine.server.close();
    expect(records).toEqual([
      expect.objectContaining({ method: "GET", path: "/v2/none/tags/list", status: 404 }),
    ]);
  });

  test("a failure of the registry is reported with its cause, and told nobody else", async () => {
    const records: AccessRecord[] = [];
    mine = await openRawRegistry({ onRequest: (record) => void records.push(record) });
    await mine.pushManifest("broken", "v1");
    const layout = await openLayout(join(mine.root, "broken"));
    await rm(layout.blobs.directory, { recursive: true });
    const path = `/v2/broken/blobs/uploads/?digest=${digestOf("content")}`;
    const response = await mine.send("POST", path, { body: "content" });
    expect([response.status, errorCode(response)]).toEqual([500, "UNKNOWN"]);
    expect(response.body.toString()).not.toContain(mine.root);
    expect(await mine.unfinished("broken")).toEqual([]);
    await mine.server.close();
    expect(records.at(-1)).toMatchObject({ status: 500, error: { code: "STORE_IO" } });
  });

  test("a second server at the same port is refused with a hint", async () => {
    mine = await openRawRegistry();
    const port = Number(new URL(mine.server.url).port);
    const second = startRegistry({ root: join(mine.root, "second"), listen: { port } });
    await expect(second).rejects.toMatchObject({
      code: "STORE_IO",
      hint: expect.stringContaining("port") as unknown,
    });
  });

  test("close ends idle connections, and closing again is fine", async () => {
    mine = await openRawRegistry();
    const idle = connect(Number(new URL(mine.server.url).port), "127.0.0.1");
    await once(idle, "connect");
    const ended = once(idle.resume(), "close");
    await Promise.all([mine.server.close(), mine.server.close(), ended]);
    await expect(mine.send("GET", "/v2/")).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  test("close cuts a request that does not end, after the grace time", async () => {
    mine = await openRawRegistry({ limits: { closeGraceMs: 20 } });
    const location = await mine.openUpload("slow");
    const socket = connect(Number(new URL(mine.server.url).port), "127.0.0.1");
    socket.on("error", () => undefined);
    socket.write(`PATCH ${location} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\npart`);
    const ended = once(socket.resume(), "close");
    await expect.poll(async () => (await mine?.send("GET", location))?.headers.range).toBe("0-3");
    await Promise.all([mine.server.close(), ended]);
    expect(await mine.unfinished("slow")).toHaveLength(1);
  });

  test("aborting the signal closes it", async () => {
    const stop = new AbortController();
    mine = await openRawRegistry({ signal: stop.signal });
    stop.abort();
    await mine.server.close();
    await expect(mine.send("GET", "/v2/")).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });
});
