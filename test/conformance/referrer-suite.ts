import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type ContentDigest,
  contentDigestOf,
  type Digest,
  digestOf,
} from "../../src/core/digest.ts";
import type { ContentDescriptor } from "../../src/oci/descriptor.ts";
import { emptyConfig, emptyConfigBytes } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import type { Repository } from "../../src/oci/repository.ts";
import { prepareManifest, putBytes, type RepositoryUnderTest } from "./repository-suite.ts";

const note = "application/vnd.example.note+json";
const signature = "application/vnd.example.signature";

/** What every Repository does with manifests that have a subject. */
export function describeReferrers(
  name: string,
  openRepository: () => Promise<RepositoryUnderTest>,
): void {
  describe(`${name}: referrers`, () => {
    let subject: RepositoryUnderTest;
    let repository: Repository;
    let model: Digest;

    beforeEach(async () => {
      subject = await openRepository();
      repository = subject.repository;
      const bytes = await prepareManifest(repository, "a model");
      ({ digest: model } = await putAs(repository, "v1", bytes));
    });
    afterEach(async () => subject.dispose());

    test("a manifest that nothing refers to has none, nor has one that is not there", async () => {
      expect(await repository.listReferrers(model)).toEqual([]);
      expect(await repository.listReferrers(digestOf("not there"))).toEqual([]);
      const unknown = contentDigestOf(Buffer.from("not there"), "sha512");
      expect(await repository.listReferrers(unknown)).toEqual([]);
    });

    test("each is listed once, with its type and annotations", async () => {
      const first = await attach(repository, model, { artifactType: note, text: "one" });
      const second = await attach(repository, model, { artifactType: signature, text: "two" });
      await attach(repository, digestOf("another"), { artifactType: note, text: "elsewhere" });
      await putAs(repository, "also-by-tag", first.bytes);
      const listed = await repository.listReferrers(model);
      expect(inOrder(listed)).toMatchObject(
        inOrder([
          { ...first.descriptor, artifactType: note, annotations: { text: "one" } },
          { ...second.descriptor, artifactType: signature, annotations: { text: "two" } },
        ]),
      );
      expect(listed).toHaveLength(2);
    });

    test("those of one type are found by it", async () => {
      const wanted = await attach(repository, model, { artifactType: note, text: "one" });
      await attach(repository, model, { artifactType: signature, text: "two" });
      const listed = await repository.listReferrers(model, { artifactType: note });
      expect(listed.map(({ digest }) => digest)).toEqual([wanted.descriptor.digest]);
      expect(await repository.listReferrers(model, { artifactType: "other/type" })).toEqual([]);
    });

    test("without a type of its own, one has the type of its config", async () => {
      await attach(repository, model, { text: "one" });
      const [listed] = await repository.listReferrers(model);
      expect(listed?.artifactType).toBe(emptyConfig.mediaType);
    });

    test("an image index may refer to a manifest too", async () => {
      const bytes = Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: mediaTypes.imageIndex,
          artifactType: note,
          manifests: [],
          subject: subjectOf(model),
        }),
      );
      const mediaType = mediaTypes.imageIndex;
      await repository.putManifest(digestOf(bytes), { mediaType, bytes });
      expect(await repository.listReferrers(model)).toMatchObject([
        { mediaType, digest: digestOf(bytes), size: bytes.byteLength, artifactType: note },
      ]);
    });

    test("a subject may come later, and may have a sha512 digest", async () => {
      for (const later of [
        digestOf("to come later"),
        contentDigestOf(Buffer.from("to come later"), "sha512"),
      ]) {
        const { descriptor } = await attach(repository, later, { artifactType: note, text: later });
        const listed = await repository.listReferrers(later);
        expect(listed.map(({ digest }) => digest)).toEqual([descriptor.digest]);
      }
    });

    test("one that is put twice is listed once", async () => {
      for (const _ of [1, 2]) await attach(repository, model, { artifactType: note, text: "one" });
      expect(await repository.listReferrers(model)).toHaveLength(1);
    });

    test("many that are put at a time are all listed", async () => {
      const texts = Array.from({ length: 12 }, (_, at) => `${at}`);
      const put = await Promise.all(
        texts.map((text) => attach(repository, model, { artifactType: note, text })),
      );
      const expected = put.map(({ descriptor }) => descriptor.digest).toSorted();
      const listed = await repository.listReferrers(model);
      expect(listed.map(({ digest }) => digest).toSorted()).toEqual(expected);
    });

    test("one that is removed is no longer listed, and the others are", async () => {
      const gone = await attach(repository, model, { artifactType: note, text: "one" });
      const kept = await attach(repository, model, { artifactType: note, text: "two" });
      expect(await repository.deleteManifest(gone.descriptor.digest)).toBe(true);
      const listed = await repository.listReferrers(model);
      expect(listed.map(({ digest }) => digest)).toEqual([kept.descriptor.digest]);
    });

    test("what referred to a manifest that was removed is still listed", async () => {
      const { descriptor } = await attach(repository, model, { artifactType: note, text: "one" });
      expect(await repository.deleteManifest(model)).toBe(true);
      const listed = await repository.listReferrers(model);
      expect(listed.map(({ digest }) => digest)).toEqual([descriptor.digest]);
    });

    test("an aborted signal stops a list before it begins", async () => {
      const signal = AbortSignal.abort(new Error("stopped"));
      await expect(repository.listReferrers(model, { signal })).rejects.toBeInstanceOf(Error);
    });
  });
}

/** Puts a small manifest that refers to `subject`, under its digest. */
export async function attach(
  repository: Repository,
  subject: ContentDigest,
  { artifactType, text }: { readonly artifactType?: string; readonly text: string },
): Promise<{ descriptor: ContentDescriptor; bytes: Buffer }> {
  // Not each time: distribution refuses manifests while one of their blobs is put again.
  if ((await repository.statBlob(emptyConfig.digest)) === undefined)
    await putBytes(repository, emptyConfigBytes);
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.imageManifest,
      artifactType,
      config: emptyConfig,
      layers: [],
      subject: subjectOf(subject),
      annotations: { text },
    }),
  );
  const mediaType = mediaTypes.imageManifest;
  return {
    descriptor: await repository.putManifest(digestOf(bytes), { mediaType, bytes }),
    bytes,
  };
}

function subjectOf(digest: ContentDigest): object {
  return { mediaType: mediaTypes.imageManifest, digest, size: 100 };
}

async function putAs(
  repository: Repository,
  reference: string,
  bytes: Buffer,
): Promise<{ digest: Digest }> {
  await repository.putManifest(reference, { mediaType: mediaTypes.imageManifest, bytes });
  return { digest: digestOf(bytes) };
}

function inOrder<T extends { readonly digest: string }>(listed: readonly T[]): T[] {
  return listed.toSorted((one, other) => (one.digest < other.digest ? -1 : 1));
}
