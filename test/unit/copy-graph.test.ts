import { describe, expect, test } from "vitest";
import { type ContentDigest, digestOf } from "../../src/core/digest.ts";
import { type Graph, inWaves, type ManifestNode } from "../../src/model/copy/graph.ts";
import { readLinks } from "../../src/model/copy/links.ts";

const id = (name: string): ContentDigest => digestOf(name);

/** A graph of nodes by name, with what they name and what refers to them. */
function graphOf(links: Record<string, { children?: string[]; referrers?: string[] }>): Graph {
  return new Map(
    Object.entries(links).map(([name, { children = [], referrers = [] }]) => {
      const node: ManifestNode = {
        descriptor: { mediaType: name, digest: id(name), size: 1 },
        role: "child",
        isThere: false,
        children: children.map(id),
        blobs: [],
        layers: 0,
        subject: undefined,
        referrers: referrers.map(id),
        signatures: [],
      };
      return [id(name), node];
    }),
  );
}

function wavesOf(graph: Graph, from: string): string[][] {
  return inWaves(graph, id(from)).map((wave) =>
    wave.map(({ descriptor }) => descriptor.mediaType).sort(),
  );
}

describe("the waves of a copy", () => {
  test("have children before parents and referrers after what they refer to", () => {
    const graph = graphOf({
      top: { children: ["image", "inner"], referrers: ["signature"] },
      inner: { children: ["deep"] },
      image: { referrers: ["sbom"] },
      deep: {},
      sbom: { referrers: ["sbom-signature"] },
      "sbom-signature": {},
      signature: {},
    });
    expect(wavesOf(graph, "top")).toEqual([
      ["deep", "image"],
      ["inner", "sbom"],
      ["sbom-signature", "top"],
      ["signature"],
    ]);
  });

  test("have each manifest once, however many name it", () => {
    const graph = graphOf({
      top: { children: ["a", "b"] },
      a: { children: ["shared"] },
      b: { children: ["shared"] },
      shared: {},
    });
    expect(wavesOf(graph, "top")).toEqual([["shared"], ["a", "b"], ["top"]]);
  });

  test("ends although referrers that nothing vouches for lead in circles", () => {
    const graph = graphOf({
      top: { referrers: ["one"] },
      one: { referrers: ["two"] },
      two: { referrers: ["top", "one", "gone"] },
    });
    expect(wavesOf(graph, "top")).toEqual([["top"], ["one"], ["two"]]);
  });
});

describe("the links of a manifest", () => {
  const digest = id("x");
  const layer = { mediaType: "application/vnd.oci.image.layer.v1.tar", digest, size: 3 };
  const read = (document: object) => readLinks(Buffer.from(JSON.stringify(document)), "it");

  test.each<[string, object, boolean]>([
    ["a layer", layer, false],
    ["one that says where else it is", { ...layer, urls: ["https://example.com/x"] }, true],
    ["one with an empty list of places", { ...layer, urls: [] }, false],
    [
      "a non-distributable one",
      { ...layer, mediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar" },
      true,
    ],
    [
      "Docker's foreign one",
      { ...layer, mediaType: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" },
      true,
    ],
  ])("tell whether %s may be had elsewhere only", (_, described, isForeign) => {
    const { blobs } = read({ schemaVersion: 2, config: layer, layers: [described] });
    expect(blobs.map((each) => each.isForeign)).toEqual([false, isForeign]);
  });

  test("are manifests and blobs of either algorithm; what an index names beside manifests is a blob", () => {
    const long = `sha512:${"a".repeat(128)}`;
    const mediaType = "application/vnd.oci.image.manifest.v1+json";
    const platform = { os: "linux", architecture: "arm", variant: "v7" };
    const links = read({
      schemaVersion: 2,
      manifests: [{ mediaType, digest: long, size: 1, platform }, layer],
      subject: { mediaType, digest, size: 9 },
    });
    expect(links.manifests).toMatchObject([{ digest: long, platform: "linux/arm/v7" }]);
    expect(links.blobs).toMatchObject([{ digest }]);
    expect(links.subject).toBe(digest);
  });

  test.each<[string, object, string]>([
    ["Docker's first schema", { schemaVersion: 1, fsLayers: [] }, "UNSUPPORTED_ARTIFACT"],
    ["no schema", {}, "INVALID_MANIFEST"],
    ["both shapes", { schemaVersion: 2, manifests: [], layers: [] }, "INVALID_MANIFEST"],
    [
      "a digest of another algorithm",
      { schemaVersion: 2, config: { ...layer, digest: "md5:0" } },
      "INVALID_MANIFEST",
    ],
    ["layers that are no list", { schemaVersion: 2, layers: {} }, "INVALID_MANIFEST"],
  ])("are refused of %s", (_, document, code) => {
    expect(() => read(document)).toThrow(expect.objectContaining({ code }));
  });
});
