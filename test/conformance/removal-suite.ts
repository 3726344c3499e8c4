import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { contentDigestOf, digestOf } from "../../src/core/digest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import type { Repository } from "../../src/oci/repository.ts";
import { prepareManifest, type RepositoryUnderTest } from "./repository-suite.ts";

/** A test of what the other side is not to do is no test of it, rather than one that is skipped. */
const none = (_name: string, _test: () => Promise<void>): void => undefined;

/**
 * What every Repository that lets itself be emptied does when tags and manifests are taken away. Of some
 * (`removesTags` false) only whole manifests are.
 */
export function describeRemoval(
  name: string,
  openRepository: () => Promise<RepositoryUnderTest>,
  { removesTags = true }: { readonly removesTags?: boolean } = {},
): void {
  describe(`${name}: removal`, () => {
    let subject: RepositoryUnderTest;
    let repository: Repository;

    beforeEach(async () => {
      subject = await openRepository();
      repository = subject.repository;
    });
    afterEach(async () => subject.dispose());

    const put = async (content: string, ...tags: string[]) => {
      const bytes = await prepareManifest(repository, content);
      const manifest = { mediaType: mediaTypes.imageManifest, bytes };
      for (const reference of [digestOf(bytes), ...tags])
        await repository.putManifest(reference, manifest);
      return digestOf(bytes);
    };

    const whereTagsStay = removesTags ? none : test;
    const whereTagsGo = removesTags ? test : none;

    whereTagsStay("of a tag is REGISTRY_UNSUPPORTED, and takes nothing", async () => {
      const digest = await put("one", "v1", "latest");
      await expect(repository.deleteTag("latest")).rejects.toMatchObject({
        code: "REGISTRY_UNSUPPORTED",
      });
      for (const tag of ["v1", "latest"])
        expect((await repository.resolveManifest(tag))?.digest).toBe(digest);
    });

    whereTagsGo("of a tag leaves its manifest and its other tags", async () => {
      const digest = await put("one", "v1", "latest");
      expect(await repository.deleteTag("latest")).toBe(true);
      expect(await repository.listTags()).toEqual(["v1"]);
      expect(await repository.resolveManifest("latest")).toBeUndefined();
      expect((await repository.resolveManifest("v1"))?.digest).toBe(digest);
    });

    whereTagsGo("of the last tag leaves the manifest, by digest", async () => {
      const digest = await put("one", "v1");
      expect(await repository.deleteTag("v1")).toBe(true);
      expect(await repository.listTags()).toEqual([]);
      expect((await repository.fetchManifest(digest)).descriptor.digest).toBe(digest);
    });

    test("of a manifest takes every tag of it, and no other's", async () => {
      const gone = await put("one", "v1", "latest");
      const kept = await put("two", "v2");
      expect(await repository.deleteManifest(gone)).toBe(true);
      expect(await repository.listTags()).toEqual(["v2"]);
      expect(await repository.resolveManifest(gone)).toBeUndefined();
      await expect(repository.fetchManifest("v1")).rejects.toMatchObject({ code: "NOT_FOUND" });
      expect((await repository.resolveManifest("v2"))?.digest).toBe(kept);
    });

    test("of what is not there is false, also the second time", async () => {
      expect(await repository.deleteTag("v1")).toBe(false);
      expect(await repository.deleteManifest(digestOf("not there"))).toBe(false);
      const unknown = contentDigestOf(Buffer.from("not there"), "sha512");
      expect(await repository.deleteManifest(unknown)).toBe(false);
      const digest = await put("one", "v1");
      expect(await repository.deleteManifest(digest)).toBe(true);
      expect(await repository.deleteTag("v1")).toBe(false);
      expect(await repository.deleteManifest(digest)).toBe(false);
    });

    test("of a tag that has the name of another's manifest takes nothing else", async () => {
      const digest = await put("one", "v1");
      expect(await repository.deleteTag(digest.replace(":", "-"))).toBe(false);
      expect((await repository.resolveManifest("v1"))?.digest).toBe(digest);
    });

    test("a manifest that was removed can be put again", async () => {
      const digest = await put("one", "v1");
      await repository.deleteManifest(digest);
      expect(await put("one", "v1")).toBe(digest);
      expect((await repository.resolveManifest("v1"))?.digest).toBe(digest);
    });

    test("an aborted signal stops it before it begins", async () => {
      const digest = await put("one", "v1");
      const options = { signal: AbortSignal.abort(new Error("stopped")) };
      await expect(repository.deleteTag("v1", options)).rejects.toBeInstanceOf(Error);
      await expect(repository.deleteManifest(digest, options)).rejects.toBeInstanceOf(Error);
      expect((await repository.resolveManifest("v1"))?.digest).toBe(digest);
    });
  });
}
