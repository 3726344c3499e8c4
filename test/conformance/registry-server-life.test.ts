import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DigestAlgorithm } from "../../src/core/digest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { openRawRegistry, type RawRegistry } from "./raw-registry.ts";
import {
  type Content,
  contentOf,
  expectBlob,
  expectManifest,
  manifestOf,
  putBlob,
  putManifest,
  statusOf,
} from "./registry-content.ts";

const repository = "life/of-content";
const note = "application/vnd.example.note.v1";
let registry: RawRegistry;

beforeAll(async () => {
  registry = await openRawRegistry();
});
afterAll(async () => registry[Symbol.asyncDispose]());

/** What one kind of content consists of; manifests in the order in which they can be put. */
interface Kind {
  readonly blobs: readonly Content[];
  readonly manifests: readonly Content[];
}

const empty = contentOf("{}", mediaTypes.emptyConfig);

function image(name: string, algorithm: DigestAlgorithm = "sha256", fields = {}): Kind {
  const blob = (text: string, type: string) =>
    contentOf(`${text} of ${name}`, `application/vnd.oci.image.${type}`, algorithm);
  const config = blob("config", "config.v1+json");
  const layers = [blob("one", "layer.v1.tar"), blob("two", "layer.v1.tar+gzip")];
  const described = layers.map(({ descriptor }) => descriptor);
  const manifest = manifestOf(
    { config: config.descriptor, layers: described, ...fields },
    algorithm,
  );
  return { blobs: [config, ...layers], manifests: [manifest] };
}

function artifact(name: string, fields = {}): Kind {
  const manifest = manifestOf({
    artifactType: note,
    config: empty.descriptor,
    layers: [empty.descriptor],
    annotations: { "org.example.name": name },
    ...fields,
  });
  return { blobs: [empty], manifests: [manifest] };
}

function indexOf(parts: readonly Kind[], algorithm: DigestAlgorithm = "sha256", fields = {}): Kind {
  const tops = parts.map(({ manifests }) => manifests.at(-1)?.descriptor);
  const index = manifestOf({ manifests: tops, ...fields }, algorithm);
  return {
    blobs: parts.flatMap(({ blobs }) => blobs),
    manifests: [...parts.flatMap(({ manifests }) => manifests), index],
  };
}

function withReferrers(of: Kind): Kind {
  const subject = of.manifests.at(-1)?.descriptor;
  const notes = [
    artifact("one note", { subject }),
    artifact("other note", { subject, artifactType: `${note}+other` }),
    image("note as an image", "sha256", { subject }),
    indexOf([], "sha256", { subject, artifactType: note }),
  ];
  return {
    blobs: [of, ...notes].flatMap(({ blobs }) => blobs),
    manifests: [of, ...notes].flatMap(({ manifests }) => manifests),
  };
}

const kinds: Record<string, Kind> = {
  image: image("image"),
  "sha512 image": image("image", "sha512"),
  index: indexOf([image("amd64"), image("arm64")]),
  "sha512 index": indexOf([image("amd64", "sha512"), image("arm64", "sha512")], "sha512"),
  "index of indexes": indexOf([indexOf([image("a"), image("b")]), indexOf([image("c")])]),
  "empty index": indexOf([]),
  artifact: artifact("artifact"),
  "index of artifacts": indexOf([artifact("a"), artifact("b")], "sha256", { artifactType: note }),
  "image with referrers": withReferrers(image("subject")),
  "index with referrers": withReferrers(indexOf([image("x"), image("y")])),
  "artifact without its subject": artifact("lost", {
    subject: image("absent").blobs[0]?.descriptor,
  }),
  "image without layers": { ...artifact("bare", { layers: [] }) },
};

const unique = (contents: readonly Content[]) => [
  ...new Map(contents.map((content) => [content.digest, content])).values(),
];

interface Subject {
  readonly subject?: { readonly digest: string };
}
const subjectOf = ({ bytes }: Content) => (JSON.parse(bytes.toString()) as Subject).subject?.digest;

// One repository for all of them: what one leaves behind would meet the next.
describe.each(Object.entries(kinds))("from its first blob to its last, %s", (_name, kind) => {
  const blobs = unique(kind.blobs);
  const manifests = unique(kind.manifests);
  const top = manifests.at(-1) ?? empty;
  const manifestPath = (reference: string) => `/v2/${repository}/manifests/${reference}`;
  const tagsAfter = async (last: string) => {
    const { body } = await registry.send("GET", `/v2/${repository}/tags/list?last=${last}`);
    return (JSON.parse(body.toString()) as { tags: string[] }).tags;
  };

  test("is pushed, tagged by reference and by query, and comes back whole", async () => {
    for (const blob of blobs) expect((await putBlob(registry, repository, blob)).status).toBe(201);
    for (const manifest of manifests) {
      const { status, headers } = await putManifest(registry, repository, manifest);
      expect([status, headers["docker-content-digest"]]).toEqual([201, manifest.digest]);
      expect(headers["oci-subject"]).toBe(subjectOf(manifest));
      const location = await registry.send("GET", String(headers.location));
      expect(location.body.equals(manifest.bytes)).toBe(true);
    }
    await putManifest(registry, repository, top, `${top.digest}?tag=first&tag=second`);
    for (const reference of ["first", "second"])
      await expectManifest(registry, repository, top, reference);
    for (const manifest of manifests) await expectManifest(registry, repository, manifest);
    for (const blob of blobs) await expectBlob(registry, repository, blob);
    expect(await tagsAfter("")).toEqual(["first", "second"]);
    expect(await tagsAfter("first")).toEqual(["second"]);
  });

  test("has its referrers listed, and each of them by its type", async () => {
    const bySubject = Map.groupBy(manifests, subjectOf);
    for (const [subject, referrers] of bySubject) {
      if (subject === undefined) continue;
      const { body } = await registry.send("GET", `/v2/${repository}/referrers/${subject}`);
      const { manifests: listed } = JSON.parse(body.toString()) as {
        manifests: { digest: string; artifactType: string }[];
      };
      expect(listed.map(({ digest }) => digest).toSorted()).toEqual(
        referrers.map(({ digest }) => digest).toSorted(),
      );
      for (const { digest, artifactType } of listed) {
        const query = new URLSearchParams({ artifactType }).toString();
        const path = `/v2/${repository}/referrers/${subject}?${query}`;
        const some = await registry.send("GET", path);
        expect(some.headers["oci-filters-applied"]).toBe("artifactType");
        expect(some.body.toString()).toContain(digest);
      }
    }
    expect(bySubject.size).toBeGreaterThan(0);
  });

  test("is deleted: tags, manifests from the top, blobs; each is gone at once", async () => {
    const remove = async (path: string) => {
      expect([path, (await registry.send("DELETE", path)).status]).toEqual([path, 202]);
      expect(await statusOf(registry, path)).toBe(404);
    };
    for (const tag of ["first", "second"]) await remove(manifestPath(tag));
    for (const { digest } of manifests.toReversed()) await remove(manifestPath(digest));
    for (const { digest } of blobs) await remove(`/v2/${repository}/blobs/${digest}`);
    expect(await tagsAfter("")).toEqual([]);
    for (const subject of new Set(manifests.map(subjectOf))) {
      if (subject === undefined) continue;
      const { body } = await registry.send("GET", `/v2/${repository}/referrers/${subject}`);
      expect(JSON.parse(body.toString())).toMatchObject({ manifests: [] });
    }
  });
});
