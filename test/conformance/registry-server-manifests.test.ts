import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { maxManifestBytes } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { errorCode, openRawRegistry, type RawRegistry } from "./raw-registry.ts";
import {
  type Content,
  contentOf,
  expectManifest,
  manifestOf,
  pushImage,
  putBlob,
  putManifest,
  statusOf,
} from "./registry-content.ts";

const repository = "team/kinds";
const empty = contentOf("{}", mediaTypes.emptyConfig);
const note = "application/vnd.example.note.v1";
let registry: RawRegistry;

beforeAll(async () => {
  registry = await openRawRegistry();
  await putBlob(registry, repository, empty);
});
afterAll(async () => registry[Symbol.asyncDispose]());

describe("a manifest of any kind is taken, and comes back as it was:", () => {
  const layer = (mediaType: string, extra = {}) => ({
    ...contentOf(`not here: ${mediaType}`, mediaType).descriptor,
    ...extra,
  });

  test.each<[string, Record<string, unknown>]>([
    ["an image without layers", { config: empty.descriptor, layers: [] }],
    ["an artifact", { artifactType: note, config: empty.descriptor, layers: [empty.descriptor] }],
    [
      "an artifact whose type is its config's",
      { config: { ...empty.descriptor, mediaType: note }, layers: [empty.descriptor] },
    ],
    [
      "one with its config's bytes in it",
      { config: { ...empty.descriptor, data: empty.bytes.toString("base64") }, layers: [] },
    ],
    [
      "one with layers that are found elsewhere",
      {
        config: empty.descriptor,
        layers: [
          layer("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", {
            urls: ["https://layers.example.com/one"],
          }),
          layer("application/vnd.oci.image.layer.nondistributable.v1.tar"),
          layer("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"),
          layer("application/octet-stream", { urls: ["https://layers.example.com/two"] }),
        ],
      },
    ],
    [
      "one with fields that no specification has",
      {
        config: { ...empty.descriptor, "org.example.odd": [1, { deep: true }] },
        layers: [],
        "org.example.odd": { any: "thing" },
      },
    ],
    [
      "one whose subject is not there",
      { config: empty.descriptor, layers: [], subject: layer(mediaTypes.imageManifest) },
    ],
    ["an empty index", { manifests: [] }],
    ["an index of artifacts", { artifactType: note, manifests: [] }],
    ["an index whose subject is not there", { manifests: [], subject: layer("text/plain") }],
  ])("%s", async (name, fields) => {
    const manifest = manifestOf({ ...fields, annotations: { "org.example.name": name } });
    const { subject } = fields as { subject?: { digest: string } };
    for (const reference of [manifest.digest, "latest"]) {
      const { status, headers } = await putManifest(registry, repository, manifest, reference);
      expect([status, headers["docker-content-digest"]]).toEqual([201, manifest.digest]);
      expect(headers["oci-subject"]).toBe(subject?.digest);
      expect(headers["oci-tag"]).toBeUndefined();
      await expectManifest(registry, repository, manifest, reference);
    }
  });

  test("an index of indexes", async () => {
    const leaf = async (name: string) => (await pushImage(registry, repository, { name })).manifest;
    const index = async (children: readonly Content[]) => {
      const made = manifestOf({ manifests: children.map(({ descriptor }) => descriptor) });
      expect((await putManifest(registry, repository, made)).status).toBe(201);
      return made;
    };
    const inner = [await index([await leaf("a"), await leaf("b")]), await index([await leaf("c")])];
    const outer = await index(inner);
    for (const each of [outer, ...inner]) await expectManifest(registry, repository, each);
  });

  test("one without a mediaType field has the type of its header", async () => {
    const bytes = { schemaVersion: 2, config: empty.descriptor, layers: [] };
    const typed = contentOf(
      JSON.stringify(bytes),
      "application/vnd.docker.distribution.manifest.v2+json",
    );
    expect((await putManifest(registry, repository, typed, "docker")).status).toBe(201);
    await expectManifest(registry, repository, typed, "docker");
  });
});

describe("the size of a manifest", () => {
  const ofSize = (size: number) => {
    const fields = { config: empty.descriptor, layers: [] };
    const rest = size - manifestOf({ ...fields, annotations: { a: "" } }).bytes.byteLength;
    return manifestOf({ ...fields, annotations: { a: "x".repeat(rest) } });
  };

  test("is 4 MiB at most: that is taken", async () => {
    const largest = ofSize(maxManifestBytes);
    expect(largest.bytes.byteLength).toBe(4_194_304);
    expect((await putManifest(registry, repository, largest, "large")).status).toBe(201);
    await expectManifest(registry, repository, largest, "large");
  });

  test("is refused with 413 from the next byte on", async () => {
    const larger = ofSize(maxManifestBytes + 1);
    const refused = await putManifest(registry, repository, larger, "larger");
    expect([refused.status, errorCode(refused)]).toEqual([413, "SIZE_INVALID"]);
    expect(await statusOf(registry, `/v2/${repository}/manifests/larger`)).toBe(404);
  });
});

describe("what is refused", () => {
  const config = empty.descriptor;
  const text = (fields: Record<string, unknown>) =>
    JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.imageManifest, ...fields });

  test.each([
    ["nothing", ""],
    ["no UTF-8", Buffer.from([0x22, 0xff, 0x22])],
    ["JSON that breaks off", '{"schemaVersion":2,"config":'],
    ["a list", "[]"],
    ["null", "null"],
    ["a deep nest", `${"[".repeat(100)}${"]".repeat(100)}`],
    ["a config that is text", text({ config: "sha256:abc", layers: [] })],
    ["a config of a short digest", text({ config: { ...config, digest: "sha256:abc" } })],
    ["a config of another algorithm", text({ config: { ...config, digest: "md5:abc" } })],
    ["a config of a negative size", text({ config: { ...config, size: -1 }, layers: [] })],
    ["a config of half a byte", text({ config: { ...config, size: 1.5 }, layers: [] })],
    ["a config of another size", text({ config: { ...config, size: 3 }, layers: [] })],
    ["layers that are no list", text({ config, layers: {} })],
    ["a layer that is null", text({ config, layers: [null] })],
    ["a subject that is text", text({ config, layers: [], subject: "x" })],
    ["a subject whose digest is a path", text({ config, layers: [], subject: { digest: ".." } })],
    ["a type that is longer than types are", text({ config, artifactType: "a/".repeat(200) })],
  ])("%s is MANIFEST_INVALID", async (_what, body) => {
    const path = `/v2/${repository}/manifests/refused`;
    const headers = { "content-type": mediaTypes.imageManifest };
    const response = await registry.send("PUT", path, { headers, body });
    expect([response.status, errorCode(response)]).toEqual([400, "MANIFEST_INVALID"]);
    expect(await statusOf(registry, path)).toBe(404);
  });

  test.each(["text", "application/", "/json", "a b/c", `a/${"b".repeat(300)}`, "../../x/y"])(
    "the content type %j is MANIFEST_INVALID",
    async (type) => {
      const path = `/v2/${repository}/manifests/refused`;
      const body = JSON.stringify({ schemaVersion: 2, config, layers: [] });
      const response = await registry.send("PUT", path, {
        headers: { "content-type": type },
        body,
      });
      expect([response.status, errorCode(response)]).toEqual([400, "MANIFEST_INVALID"]);
    },
  );

  test.each([
    ["sha256:baddigeststring", "DIGEST_INVALID"],
    [`sha256:${"A".repeat(64)}`, "DIGEST_INVALID"],
    [`sha512:${"a".repeat(64)}`, "DIGEST_INVALID"],
    ["md5:d41d8cd98f00b204e9800998ecf8427e", "DIGEST_INVALID"],
    [".hidden", "MANIFEST_INVALID"],
    ["a".repeat(129), "MANIFEST_INVALID"],
  ])("the reference %s, to write and to read", async (reference, code) => {
    const manifest = manifestOf({ config, layers: [] });
    const refused = await putManifest(registry, repository, manifest, reference);
    expect([refused.status, errorCode(refused)]).toEqual([400, code]);
    const path = `/v2/${repository}/manifests/${reference}`;
    const status = code === "DIGEST_INVALID" ? 400 : 404;
    expect(await statusOf(registry, path)).toBe(status);
    expect((await registry.send("DELETE", path)).status).toBe(status);
  });

  test.each([
    ["?tag=-bad", 400],
    ["?tag=", 400],
    ["?tag=good&tag=a%2fb", 400],
    [`?${Array.from({ length: 101 }, (_, at) => `tag=t${at}`).join("&")}`, 414],
  ])("the tags %s of a query, and then none of them is there", async (query, status) => {
    const manifest = manifestOf({ config, layers: [], annotations: { query } });
    const reference = `${manifest.digest}${query}`;
    expect((await putManifest(registry, repository, manifest, reference)).status).toBe(status);
    for (const tag of ["good", "t0", manifest.digest])
      expect(await statusOf(registry, `/v2/${repository}/manifests/${tag}`)).toBe(404);
  });
});
