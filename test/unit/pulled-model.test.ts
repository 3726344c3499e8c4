import { expect, test } from "vitest";
import { parseReference } from "../../src/core/reference.ts";
import { emptyConnection } from "../../src/model/connection.ts";
import { openModel } from "../../src/model/pulled-model.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import type { Repository } from "../../src/oci/repository.ts";
import { collect } from "../../src/store/garbage.ts";
import { readRecord } from "../../src/store/model-record.ts";
import { setPinned } from "../../src/store/pin.ts";
import { makeStore } from "../support/store-folders.ts";
import { bytesOf, makeModel, recordModel, type TestModel } from "../support/store-models.ts";

const name = "registry.example.com/team/model";
const model = makeModel({ file: bytesOf("file", 1000) });

/** A repository of one model; `meanwhile` runs while its documents are fetched. */
function repositoryOf(
  { manifest: digest, manifestBytes: bytes, indexBytes }: TestModel,
  meanwhile: () => Promise<unknown>,
): Repository {
  const descriptor = { mediaType: mediaTypes.imageManifest, digest, size: bytes.byteLength };
  return {
    ...emptyConnection(name).repository,
    fetchManifest: async () => {
      await meanwhile();
      return { descriptor, bytes };
    },
    async *readBlob() {
      await meanwhile();
      yield indexBytes;
    },
  };
}

test("what others did to its record while a model was fetched stays done", async () => {
  await using store = await makeStore();
  const repository = repositoryOf(model, async () => {
    const record = await recordModel(store, name, model);
    await setPinned(store, record, true);
  });
  const reference = parseReference(`${name}:v1`);
  const target = { repository, reference, digest: model.manifest };
  using opened = await openModel(store, target, { isHere: false });
  expect(opened.record).toMatchObject({ pinned: true, tags: ["v1"] });
  const { origin, manifest } = opened.record;
  expect(await readRecord(store.paths, origin, manifest)).toMatchObject(opened.record);
});

test("a model is leased from before it is fetched until it is closed", async () => {
  await using store = await makeStore();
  const free = Number.MAX_SAFE_INTEGER;
  const everything = { watermarks: { freeBytes: { high: free, low: free } } };
  const repository = repositoryOf(model, () => collect(store, everything));
  const target = { repository, reference: parseReference(name), digest: model.manifest };
  {
    using opened = await openModel(store, target, { isHere: false });
    expect((await collect(store, everything)).removed).toEqual([]);
    expect(store.isLeased(opened.record)).toBe(true);
    using again = await openModel(store, target, { isHere: false });
    expect(again.model.indexBytes).toEqual(model.indexBytes);
  }
  expect((await collect(store, everything)).removed).toHaveLength(1);
});

test("one that cannot be fetched is not leased", async () => {
  await using store = await makeStore();
  const repository = repositoryOf(model, () => Promise.reject(new Error("the line is cut")));
  const target = { repository, reference: parseReference(name), digest: model.manifest };
  await expect(openModel(store, target, { isHere: false })).rejects.toThrow("the line is cut");
  const { origin, manifest } = await recordModel(store, name, model);
  expect(store.isLeased({ origin, manifest })).toBe(false);
});
