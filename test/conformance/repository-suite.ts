import { randomBytes } from "node:crypto";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Digest, digestOf } from "../../src/core/digest.ts";
import { emptyConfig, emptyConfigBytes, serializeManifest } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import type { ByteRange, Repository } from "../../src/oci/repository.ts";

export interface RepositoryUnderTest {
  /** Empty: nothing was ever written to it. */
  readonly repository: Repository;
  /** For the mount; tests that need it are skipped without. Empty as well. */
  readonly anotherRepositoryOnSameHost?: Repository | undefined;
  dispose(): Promise<void>;
}

/** The behaviour that every Repository has, whatever holds its content. */
export function describeRepository(
  name: string,
  openRepository: () => Promise<RepositoryUnderTest>,
): void {
  describe(`${name} as a Repository`, () => {
    let subject: RepositoryUnderTest;
    let repository: Repository;

    beforeEach(async () => {
      subject = await openRepository();
      repository = subject.repository;
    });
    afterEach(async () => subject.dispose());

    describe("blobs", () => {
      test("a blob reads back as it was put", async () => {
        const bytes = randomBytes(3_000_000);
        await putBytes(repository, bytes);
        expect(await repository.statBlob(digestOf(bytes))).toBe(bytes.byteLength);
        expect((await readAll(repository, digestOf(bytes))).equals(bytes)).toBe(true);
      });

      test("an empty blob reads back", async () => {
        const digest = await putBytes(repository, Buffer.alloc(0));
        expect(await repository.statBlob(digest)).toBe(0);
        expect(await readAll(repository, digest)).toHaveLength(0);
      });

      test("a blob of many small pieces reads back", async () => {
        const bytes = randomBytes(40_000);
        const pieces = function* () {
          for (let at = 0; at < bytes.byteLength; at += 97) yield bytes.subarray(at, at + 97);
        };
        const digest = digestOf(bytes);
        await repository.putBlob({ digest, size: bytes.byteLength }, pieces);
        expect((await readAll(repository, digest)).equals(bytes)).toBe(true);
      });

      test("putting a blob again is fine", async () => {
        const bytes = randomBytes(1000);
        await putBytes(repository, bytes);
        await putBytes(repository, bytes);
        expect((await readAll(repository, digestOf(bytes))).equals(bytes)).toBe(true);
      });

      test("one blob put by many at a time is there once, whole", async () => {
        const bytes = randomBytes(500_000);
        await Promise.all(Array.from({ length: 8 }, () => putBytes(repository, bytes)));
        expect((await readAll(repository, digestOf(bytes))).equals(bytes)).toBe(true);
      });

      test("many blobs put at a time are all there", async () => {
        const blobs = Array.from({ length: 16 }, (_, at) => randomBytes(10_000 + at));
        const digests = await Promise.all(blobs.map((bytes) => putBytes(repository, bytes)));
        const sizes = await Promise.all(digests.map((digest) => repository.statBlob(digest)));
        expect(sizes).toEqual(blobs.map((bytes) => bytes.byteLength));
      });

      test("a blob that was never put has no size and cannot be read", async () => {
        const digest = digestOf("never put");
        expect(await repository.statBlob(digest)).toBeUndefined();
        await expect(readAll(repository, digest)).rejects.toMatchObject({ code: "NOT_FOUND" });
      });

      test.each([
        ["other bytes", Buffer.from("other bytes of"), 14],
        ["fewer bytes", Buffer.from("promised b"), 14],
        ["more bytes", Buffer.from("promised bytes, and more"), 14],
        ["a lying size", Buffer.from("promised bytes"), 13],
      ])("a body with %s is refused and leaves nothing", async (_what, body, size) => {
        const digest = digestOf("promised bytes");
        await expect(repository.putBlob({ digest, size }, () => [body])).rejects.toMatchObject({
          code: "DIGEST_MISMATCH",
        });
        expect(await repository.statBlob(digest)).toBeUndefined();
      });

      test("after a refused body the right one is taken", async () => {
        const bytes = Buffer.from("promised bytes");
        const blob = { digest: digestOf(bytes), size: bytes.byteLength };
        await expect(
          repository.putBlob(blob, () => [Buffer.from("other bytes of")]),
        ).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
        await repository.putBlob(blob, () => [bytes]);
        expect(await repository.statBlob(blob.digest)).toBe(blob.size);
      });

      test("a body that fails in the middle leaves nothing, and its error is what is thrown", async () => {
        const failure = new Error("the source broke");
        const body = async function* () {
          yield Buffer.alloc(100_000);
          await Promise.resolve();
          throw failure;
        };
        const blob = { digest: digestOf(Buffer.alloc(200_000)), size: 200_000 };
        const error: unknown = await repository
          .putBlob(blob, body)
          .catch((reason: unknown) => reason);
        expect([error, error instanceof Error ? error.cause : undefined]).toContain(failure);
        expect(await repository.statBlob(blob.digest)).toBeUndefined();
      });

      test("a put that is aborted in the middle rejects and leaves nothing", async () => {
        const stop = new AbortController();
        const body = async function* () {
          yield Buffer.alloc(100_000);
          stop.abort(new Error("the user has gone"));
          await new Promise<never>(() => undefined);
        };
        const blob = { digest: digestOf(Buffer.alloc(200_000)), size: 200_000 };
        await expect(
          repository.putBlob(blob, body, { signal: stop.signal }),
        ).rejects.toBeInstanceOf(Error);
        expect(await repository.statBlob(blob.digest)).toBeUndefined();
      });

      test("an aborted signal stops a put and a read before they begin", async () => {
        const digest = await putBytes(repository, randomBytes(100));
        const options = { signal: AbortSignal.abort(new Error("stopped")) };
        const blob = { digest: digestOf("new"), size: 3 };
        await expect(
          repository.putBlob(blob, () => [Buffer.from("new")], options),
        ).rejects.toBeInstanceOf(Error);
        await expect(readAll(repository, digest, undefined, options.signal)).rejects.toBeInstanceOf(
          Error,
        );
        expect(await repository.statBlob(blob.digest)).toBeUndefined();
      });

      test("a read that is aborted in the middle rejects", async () => {
        const digest = await putBytes(repository, randomBytes(8_000_000));
        const stop = new AbortController();
        const read = async () => {
          for await (const piece of repository.readBlob(digest, { signal: stop.signal })) {
            expect(piece.byteLength).toBeGreaterThan(0);
            stop.abort(new Error("enough"));
          }
        };
        await expect(read()).rejects.toBeInstanceOf(Error);
      });

      test("a read that its caller leaves early leaves the repository usable", async () => {
        const digest = await putBytes(repository, randomBytes(8_000_000));
        for await (const piece of repository.readBlob(digest)) {
          expect(piece.byteLength).toBeGreaterThan(0);
          break;
        }
        expect(await repository.statBlob(digest)).toBe(8_000_000);
      });
    });

    describe("ranges", () => {
      const bytes = randomBytes(2_500_000);

      test.each<ByteRange>([
        { offset: 0, length: 1 },
        { offset: 0, length: 2_500_000 },
        { offset: 1, length: 2_499_999 },
        { offset: 2_499_999, length: 1 },
        { offset: 1_048_575, length: 2 },
        { offset: 700_000, length: 1_300_000 },
      ])("the range of $length bytes at $offset is exact", async (range) => {
        const digest = await putBytes(repository, bytes);
        const expected = bytes.subarray(range.offset, range.offset + range.length);
        expect((await readAll(repository, digest, range)).equals(expected)).toBe(true);
      });

      test.each<ByteRange>([
        { offset: 0, length: 2_500_001 },
        { offset: 2_500_000, length: 1 },
        { offset: 2_499_999, length: 2 },
        { offset: 9_000_000, length: 10 },
      ])("the range of $length bytes at $offset, not all there, rejects", async (range) => {
        const digest = await putBytes(repository, bytes);
        await expect(readAll(repository, digest, range)).rejects.toHaveProperty("code");
      });

      test("ranges read at a time do not mix", async () => {
        const digest = await putBytes(repository, bytes);
        const slice = fc.record({
          offset: fc.nat({ max: 2_000_000 }),
          length: fc.integer({ min: 1, max: 400_000 }),
        });
        const slices = fc.array(slice, { minLength: 1, maxLength: 8 });
        await fc.assert(
          fc.asyncProperty(slices, async (ranges) => {
            const found = await Promise.all(
              ranges.map((range) => readAll(repository, digest, range)),
            );
            ranges.forEach(({ offset, length }, at) =>
              expect(found[at]?.equals(bytes.subarray(offset, offset + length))).toBe(true),
            );
          }),
          { numRuns: 15 },
        );
      });
    });

    describe("manifests and tags", () => {
      test("a repository that was never written to has no tags and no manifest", async () => {
        expect(await repository.listTags()).toEqual([]);
        expect(await repository.resolveManifest("v1")).toBeUndefined();
        expect(await repository.resolveManifest(digestOf("none"))).toBeUndefined();
        await expect(repository.fetchManifest("v1")).rejects.toMatchObject({ code: "NOT_FOUND" });
        await expect(repository.fetchManifest(digestOf("none"))).rejects.toMatchObject({
          code: "NOT_FOUND",
        });
      });

      test("a manifest put under a tag is found by tag and by digest, byte for byte", async () => {
        const bytes = await prepareManifest(repository, "one");
        const put = await repository.putManifest("v1", manifestOf(bytes));
        const expected = {
          mediaType: mediaTypes.imageManifest,
          digest: digestOf(bytes),
          size: bytes.byteLength,
        };
        expect(put).toMatchObject(expected);
        for (const reference of ["v1", digestOf(bytes)]) {
          expect(await repository.resolveManifest(reference)).toMatchObject(expected);
          const fetched = await repository.fetchManifest(reference);
          expect(fetched.descriptor).toMatchObject(expected);
          expect(fetched.bytes.equals(bytes)).toBe(true);
        }
        expect(await repository.listTags()).toEqual(["v1"]);
      });

      test("a manifest put under its digest is found by digest and has no tag", async () => {
        const bytes = await prepareManifest(repository, "one");
        await repository.putManifest(digestOf(bytes), manifestOf(bytes));
        expect((await repository.fetchManifest(digestOf(bytes))).bytes.equals(bytes)).toBe(true);
        expect(await repository.listTags()).toEqual([]);
      });

      test("a manifest put under another digest than its own is refused", async () => {
        const bytes = await prepareManifest(repository, "one");
        await expect(
          repository.putManifest(digestOf("other"), manifestOf(bytes)),
        ).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
        expect(await repository.resolveManifest(digestOf(bytes))).toBeUndefined();
      });

      test("putting a manifest again changes nothing", async () => {
        const bytes = await prepareManifest(repository, "one");
        for (let time = 0; time < 3; time += 1)
          await repository.putManifest("v1", manifestOf(bytes));
        expect(await repository.listTags()).toEqual(["v1"]);
      });

      test("a tag that moves keeps the old manifest reachable by digest", async () => {
        const [first, second] = [
          await prepareManifest(repository, "one"),
          await prepareManifest(repository, "two"),
        ];
        await repository.putManifest("latest", manifestOf(first));
        await repository.putManifest("latest", manifestOf(second));
        expect((await repository.resolveManifest("latest"))?.digest).toBe(digestOf(second));
        expect((await repository.fetchManifest(digestOf(first))).bytes.equals(first)).toBe(true);
        expect(await repository.listTags()).toEqual(["latest"]);
      });

      test("a manifest can have several tags", async () => {
        const bytes = await prepareManifest(repository, "one");
        for (const tag of ["a", "b", "c"]) await repository.putManifest(tag, manifestOf(bytes));
        expect((await repository.listTags()).toSorted()).toEqual(["a", "b", "c"]);
        expect((await repository.resolveManifest("b"))?.digest).toBe(digestOf(bytes));
      });

      test("tags put at a time are all there", async () => {
        const bytes = await prepareManifest(repository, "one");
        const tags = Array.from({ length: 12 }, (_, at) => `v${at + 10}`);
        await Promise.all(tags.map((tag) => repository.putManifest(tag, manifestOf(bytes))));
        expect((await repository.listTags()).toSorted()).toEqual(tags);
      });

      test("a manifest that names a blob that is not there is refused, and the blob is named", async () => {
        const missing = digestOf("a layer that nobody put");
        const bytes = serializeManifest({
          config: emptyConfig,
          layers: [{ mediaType: mediaTypes.layer, digest: missing, size: 23 }],
        });
        await putBytes(repository, emptyConfigBytes);
        const putting = repository.putManifest("v1", manifestOf(bytes));
        await expect(putting).rejects.toMatchObject({
          code: "BLOB_UNKNOWN",
          message: expect.stringContaining(missing) as unknown,
        });
        expect(await repository.resolveManifest("v1")).toBeUndefined();
      });

      test("a manifest may have a subject that is not there", async () => {
        const subjectDigest = digestOf("to come later");
        await putBytes(repository, emptyConfigBytes);
        const bytes = serializeManifest({
          artifactType: "application/vnd.example.note",
          config: emptyConfig,
          layers: [],
          subject: { mediaType: mediaTypes.imageManifest, digest: subjectDigest, size: 100 },
        });
        await repository.putManifest(digestOf(bytes), manifestOf(bytes));
        expect((await repository.resolveManifest(digestOf(bytes)))?.size).toBe(bytes.byteLength);
      });

      test("an aborted signal stops a manifest from being put", async () => {
        const bytes = await prepareManifest(repository, "one");
        const options = { signal: AbortSignal.abort(new Error("stopped")) };
        await expect(
          repository.putManifest("v1", manifestOf(bytes), options),
        ).rejects.toBeInstanceOf(Error);
        expect(await repository.resolveManifest("v1")).toBeUndefined();
      });
    });

    describe("mounts", () => {
      test("a blob of another repository is linked without its bytes", async ({ skip }) => {
        const another = subject.anotherRepositoryOnSameHost;
        if (another === undefined) return skip("there is only one repository");
        const bytes = randomBytes(10_000);
        await putBytes(another, bytes);
        await putBytes(repository, Buffer.from("so that the repository exists"));
        expect(await repository.mountBlob(digestOf(bytes), mountName(another))).toBe(true);
        expect((await readAll(repository, digestOf(bytes))).equals(bytes)).toBe(true);
      });

      test("a blob that the other repository has not is not mounted", async ({ skip }) => {
        const another = subject.anotherRepositoryOnSameHost;
        if (another === undefined) return skip("there is only one repository");
        await putBytes(another, Buffer.from("so that the repository exists"));
        const digest = digestOf("not there");
        expect(await repository.mountBlob(digest, mountName(another))).toBe(false);
        expect(await repository.statBlob(digest)).toBeUndefined();
      });
    });
  });
}

/** A repository's name as `mountBlob` of another one wants it: without the host. */
function mountName({ name }: Repository): string {
  return name.startsWith("oci:") ? name : name.slice(name.indexOf("/") + 1);
}

/** Puts bytes as a blob. */
export async function putBytes(repository: Repository, bytes: Buffer): Promise<Digest> {
  const digest = digestOf(bytes);
  await repository.putBlob({ digest, size: bytes.byteLength }, () => [bytes]);
  return digest;
}

/** Puts the blobs of a small manifest, and makes its bytes. */
export async function prepareManifest(repository: Repository, content: string): Promise<Buffer> {
  const layer = Buffer.from(content);
  await putBytes(repository, emptyConfigBytes);
  const digest = await putBytes(repository, layer);
  return serializeManifest({
    config: emptyConfig,
    layers: [{ mediaType: mediaTypes.layer, digest, size: layer.byteLength }],
  });
}

function manifestOf(bytes: Buffer): { mediaType: string; bytes: Buffer } {
  return { mediaType: mediaTypes.imageManifest, bytes };
}

async function readAll(
  repository: Repository,
  digest: Digest,
  range?: ByteRange,
  signal?: AbortSignal,
): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of repository.readBlob(digest, { range, signal }))
    pieces.push(Buffer.from(piece));
  return Buffer.concat(pieces);
}
