import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { contentDigestOf, digestHex, digestOf } from "../../src/core/digest.ts";
import type { OciLayout } from "../../src/oci/layout/layout.ts";
import { openLayout } from "../../src/oci/layout/open-layout.ts";
import { startRegistry } from "../../src/registry/server/server.ts";
import { errorCode, openRawRegistry, RawRegistry } from "./raw-registry.ts";
import {
  algorithms,
  type Content,
  contentOf,
  expectBlob,
  expectManifest,
  manifestOf,
  pushImage,
  putBlob,
  putManifest,
  statusOf,
} from "./registry-content.ts";

let registry: RawRegistry;

beforeAll(async () => {
  registry = await openRawRegistry();
});
afterAll(async () => registry[Symbol.asyncDispose]());

describe.each(algorithms)("a %s blob", (algorithm) => {
  const repository = `blobs/${algorithm}`;
  const blob = (name: string) => contentOf(`${name} `.repeat(100), undefined, algorithm);
  const finish = (location: string, { digest }: Content, body: Buffer | string = "") =>
    registry.send("PUT", `${location}?digest=${encodeURIComponent(digest)}`, { body });

  test.each<[string, (content: Content) => Promise<{ status: number }>]>([
    ["one POST", (content) => putBlob(registry, repository, content)],
    [
      "POST and PUT",
      async (content) => finish(await registry.openUpload(repository), content, content.bytes),
    ],
    [
      "one stream",
      async (content) => {
        const location = await registry.openUpload(repository);
        await registry.send("PATCH", location, { body: content.bytes });
        return finish(location, content);
      },
    ],
    [
      "chunks, the last of them in the PUT",
      async (content) => {
        const location = await registry.openUpload(repository);
        await registry.send("PATCH", location, {
          headers: { "content-range": "0-99" },
          body: content.bytes.subarray(0, 100),
        });
        return finish(location, content, content.bytes.subarray(100));
      },
    ],
  ])("comes in %s, and is there by its digest", async (how, push) => {
    const content = blob(how);
    expect(await statusOf(registry, `/v2/${repository}/blobs/${content.digest}`)).toBe(404);
    const { status } = await push(content);
    expect(status).toBe(201);
    await expectBlob(registry, repository, content);
  });

  test.each(["", "{}"])("of the bytes %j is a blob like any other", async (text) => {
    const content = contentOf(text, undefined, algorithm);
    expect((await putBlob(registry, repository, content)).status).toBe(201);
    await expectBlob(registry, repository, content);
  });

  test("is sent in ranges", async () => {
    const content = blob("ranges");
    await putBlob(registry, repository, content);
    const path = `/v2/${repository}/blobs/${content.digest}`;
    const headers = { range: "bytes=5-14" };
    const { status, body } = await registry.send("GET", path, { headers });
    expect([status, body]).toEqual([206, content.bytes.subarray(5, 15)]);
  });

  test("that has another digest is refused, and nothing of it stays", async () => {
    const [content, other] = [blob("promised"), blob("sent")];
    const location = await registry.openUpload(repository);
    await registry.send("PATCH", location, { body: other.bytes });
    const refused = await finish(location, content);
    expect([refused.status, errorCode(refused)]).toEqual([400, "DIGEST_INVALID"]);
    const post = await putBlob(registry, repository, { ...content, bytes: other.bytes });
    expect(post.status).toBe(400);
    for (const { digest } of [content, other])
      expect(await statusOf(registry, `/v2/${repository}/blobs/${digest}`)).toBe(404);
    expect(await registry.unfinished(repository)).toEqual([]);
  });
});

describe.each(algorithms)("manifests by %s", (algorithm) => {
  const repository = `manifests/${algorithm}`;

  test("an index of images comes back by digest, and takes its blobs by digest too", async () => {
    const children = [
      await pushImage(registry, repository, { name: "amd64", algorithm }),
      await pushImage(registry, repository, { name: "arm64", algorithm }),
    ];
    const manifests = children.map(({ manifest }) => manifest.descriptor);
    const index = manifestOf({ manifests }, algorithm);
    const { status, headers } = await putManifest(registry, repository, index);
    expect([status, headers]).toMatchObject([
      201,
      {
        "docker-content-digest": index.digest,
        location: `/v2/${repository}/manifests/${index.digest}`,
      },
    ]);
    await expectManifest(registry, repository, index);
    for (const { manifest } of children) await expectManifest(registry, repository, manifest);
  });

  test("a manifest is put under the tags of the query, each of which is answered", async () => {
    const { manifest } = await pushImage(registry, repository, { name: "tagged", algorithm });
    const path = `${manifest.digest}?tag=one&tag=two&tag=one`;
    const { status, headers } = await putManifest(registry, repository, manifest, path);
    expect([status, headers["oci-tag"]]).toEqual([201, ["one", "two"]]);
    for (const tag of ["one", "two"]) await expectManifest(registry, repository, manifest, tag);
  });

  test("a body of another digest is refused, and is not there", async () => {
    const { manifest } = await pushImage(registry, repository, { name: "honest", algorithm });
    const bytes = Buffer.concat([manifest.bytes, Buffer.from("  ")]);
    const refused = await putManifest(registry, repository, { ...manifest, bytes });
    expect([refused.status, errorCode(refused)]).toEqual([400, "DIGEST_INVALID"]);
    const actual = contentDigestOf(bytes, algorithm);
    expect(await statusOf(registry, `/v2/${repository}/manifests/${actual}`)).toBe(404);
  });

  test("who refers to it is listed, and no longer once it is deleted", async () => {
    const { manifest: subject } = await pushImage(registry, repository, { name: "s", algorithm });
    const fields = { subject: subject.descriptor, artifactType: "application/vnd.example.note" };
    const pushed = await pushImage(registry, repository, { name: "note", algorithm, fields });
    const again = await putManifest(registry, repository, pushed.manifest);
    expect(again.headers["oci-subject"]).toBe(subject.digest);
    const path = `/v2/${repository}/referrers/${subject.digest}`;
    const listed = async () =>
      (JSON.parse((await registry.send("GET", path)).body.toString()) as { manifests: unknown })
        .manifests;
    expect(await listed()).toEqual([
      { ...pushed.manifest.descriptor, artifactType: "application/vnd.example.note" },
    ]);
    const note = `/v2/${repository}/manifests/${pushed.manifest.digest}`;
    expect((await registry.send("DELETE", note)).status).toBe(202);
    expect(await statusOf(registry, note)).toBe(404);
    expect(await listed()).toEqual([]);
  });

  test("a blob that it names and that is missing is named in the answer", async () => {
    const layer = contentOf("never pushed", undefined, algorithm);
    const config = contentOf("{}", undefined, algorithm);
    await putBlob(registry, repository, config);
    const fields = { config: config.descriptor, layers: [layer.descriptor] };
    const refused = await putManifest(registry, repository, manifestOf(fields, algorithm));
    expect(refused.status).toBe(404);
    expect(JSON.parse(refused.body.toString())).toMatchObject({
      errors: [{ code: "MANIFEST_BLOB_UNKNOWN", detail: { digest: layer.digest } }],
    });
  });
});

describe("both algorithms in one repository", () => {
  test("content under one digest is not there under the other until it is pushed so", async () => {
    const [short, long] = algorithms.map((algorithm) => contentOf("twice", undefined, algorithm));
    if (short === undefined || long === undefined) throw new Error("there are two algorithms");
    await putBlob(registry, "both", short);
    expect(await statusOf(registry, `/v2/both/blobs/${long.digest}`)).toBe(404);
    await putBlob(registry, "both", long);
    await expectBlob(registry, "both", short);
    await expectBlob(registry, "both", long);
    const blobs = join(registry.root, "both", "blobs");
    expect((await readdir(blobs)).toSorted()).toEqual(["sha256", "sha512"]);
    expect(await readdir(join(blobs, "sha512"))).toEqual([digestHex(long.digest)]);
  });

  test("a manifest of one names blobs of the other", async () => {
    const layer = contentOf("long", undefined, "sha512");
    const config = contentOf("{}");
    for (const content of [layer, config]) await putBlob(registry, "mixed", content);
    const manifest = manifestOf({ config: config.descriptor, layers: [layer.descriptor] });
    expect((await putManifest(registry, "mixed", manifest, "v1")).status).toBe(201);
    await expectManifest(registry, "mixed", manifest, "v1");
  });

  test("what was pushed is there after a restart", async () => {
    await using first = await openRawRegistry();
    const { manifest, blobs } = await pushImage(first, "kept", {
      name: "kept",
      algorithm: "sha512",
    });
    await first.server.close();
    await using second = new RawRegistry(first.root, await startRegistry({ root: first.root }));
    await expectManifest(second, "kept", manifest);
    expect(blobs).toHaveLength(2);
    for (const blob of blobs) await expectBlob(second, "kept", blob);
  });
});

describe("a layout folder with sha512 content", () => {
  test("is copied to another folder as it is, by links or by bytes", async () => {
    const root = await mkdtemp(join(tmpdir(), "layout-sha512-"));
    const from = await openLayout(join(root, "from"), { create: true });
    const to = await openLayout(join(root, "to"), { create: true });
    const config = contentOf("{}", undefined, "sha512");
    const layer = contentOf("layer", undefined, "sha512");
    for (const { descriptor, bytes } of [config, layer])
      await from.putBlob(descriptor, () => [bytes]);
    const manifest = manifestOf(
      { config: config.descriptor, layers: [layer.descriptor] },
      "sha512",
    );
    await from.putManifest(manifest.digest, typed(manifest), { tags: ["v1"] });

    expect(await to.mountBlob(config.digest, from.name)).toBe(true);
    await to.putBlob(layer.descriptor, () => from.readBlob(layer.digest));
    const fetched = await from.fetchManifest("v1");
    expect(fetched.descriptor.digest).toBe(manifest.digest);
    await to.putManifest(fetched.descriptor.digest, {
      mediaType: fetched.descriptor.mediaType,
      bytes: fetched.bytes,
    });
    expect(await readAll(to, layer)).toEqual(layer.bytes);
    expect((await to.fetchManifest(manifest.digest)).bytes).toEqual(manifest.bytes);
    expect(await to.resolveManifest(digestOf(manifest.bytes))).toBeUndefined();
    await rm(root, { recursive: true });
  });
});

function typed({ bytes, descriptor: { mediaType } }: Content) {
  return { mediaType, bytes };
}

async function readAll(layout: OciLayout, { digest }: Content): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of layout.readBlob(digest)) pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}
