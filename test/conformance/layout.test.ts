import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestHex, digestOf } from "../../src/core/digest.ts";
import { onDisk } from "../../src/core/system-error.ts";
import { openLayout } from "../../src/oci/layout/open-layout.ts";
import { emptyConfig, emptyConfigBytes, serializeManifest } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { referrersTag } from "../../src/oci/referrers-tag.ts";
import { describeReferrers } from "./referrer-suite.ts";
import { describeRemoval } from "./removal-suite.ts";
import {
  describeRepository,
  prepareManifest,
  putBytes,
  type RepositoryUnderTest,
} from "./repository-suite.ts";

const refName = "org.opencontainers.image.ref.name";
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "layout-"));
});
afterEach(async () => rm(folder, { recursive: true, force: true }));

describeRepository("an OCI layout folder", openUnderTest);
describeReferrers("an OCI layout folder", openUnderTest);
describeRemoval("an OCI layout folder", openUnderTest);

async function openUnderTest(): Promise<RepositoryUnderTest> {
  const root = await mkdtemp(join(tmpdir(), "layout-suite-"));
  return {
    repository: await openLayout(join(root, "one"), { create: true }),
    anotherRepositoryOnSameHost: await openLayout(join(root, "other"), { create: true }),
    dispose: () => rm(root, { recursive: true, force: true }),
  };
}

test("referrers that another program lists under a tag are found, and may be removed", async () => {
  const layout = await openLayout(folder, { create: true });
  const mediaType = mediaTypes.imageManifest;
  const put = (reference: string, bytes: Uint8Array, type: string = mediaType) =>
    layout.putManifest(reference, { mediaType: type, bytes });
  const model = await put("v1", await prepareManifest(layout, "a model"));
  const signature = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      config: emptyConfig,
      layers: [],
      subject: model,
    }),
  );
  // A blob of the folder, as others write it, that index.json does not list.
  const digest = await putBytes(layout, signature);
  const listed = { mediaType, digest, size: signature.byteLength };
  const list = { schemaVersion: 2, mediaType: mediaTypes.imageIndex, manifests: [listed] };
  const bytes = Buffer.from(JSON.stringify(list));
  await put(referrersTag(model.digest), bytes, mediaTypes.imageIndex);
  expect(await layout.listReferrers(model.digest)).toEqual([listed]);
  expect(await layout.listReferrers(model.digest, { artifactType: "text/plain" })).toEqual([]);
  expect(await layout.findReferrers(model.digest)).toEqual([]);
  expect(await layout.deleteManifest(digest)).toBe(true);
});

describe("opening a layout", () => {
  test("a folder that is not there is NOT_FOUND, with a hint", async () => {
    await expect(openLayout(join(folder, "none"))).rejects.toMatchObject({
      code: "NOT_FOUND",
      hint: expect.stringContaining("check the path") as unknown,
    });
  });

  test("a folder that is no layout is NOT_FOUND and stays as it is", async () => {
    await writeFile(join(folder, "model.bin"), "weights");
    await expect(openLayout(folder)).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await readdir(folder)).toEqual(["model.bin"]);
  });

  test("create refuses a folder of other files, and names one", async () => {
    await writeFile(join(folder, "model.bin"), "weights");
    await expect(openLayout(folder, { create: true })).rejects.toMatchObject({
      code: "OUTPUT_EXISTS",
      message: expect.stringContaining("model.bin") as unknown,
    });
    expect(await readdir(folder)).toEqual(["model.bin"]);
  });

  test("create takes an interrupted creation up again", async () => {
    await mkdir(join(folder, "blobs"));
    await openLayout(folder, { create: true });
    await expect(openLayout(folder)).resolves.toHaveProperty("name", `oci:${folder}`);
  });

  test("a new layout holds what the specification asks for, and nothing of ours at rest", async () => {
    const directory = join(folder, "deep", "er");
    const layout = await openLayout(directory, { create: true });
    await putBytes(layout, Buffer.from("content"));
    await layout[Symbol.asyncDispose]();
    expect((await readdir(directory)).toSorted()).toEqual(["blobs", "index.json", "oci-layout"]);
    expect(await readJson(join(directory, "oci-layout"))).toEqual({ imageLayoutVersion: "1.0.0" });
    expect(await readJson(join(directory, "index.json"))).toMatchObject({
      schemaVersion: 2,
      manifests: [],
    });
  });

  test("many that create one folder at a time all succeed", async () => {
    const layouts = await Promise.all(
      Array.from({ length: 6 }, () => openLayout(join(folder, "new"), { create: true })),
    );
    await Promise.all(
      layouts.map(async (layout, at) => {
        const bytes = await prepareManifest(layout, `content ${at}`);
        await layout.putManifest(`v${at}`, { mediaType: mediaTypes.imageManifest, bytes });
      }),
    );
    const tags = await (await openLayout(join(folder, "new"))).listTags();
    expect(tags.toSorted()).toEqual(["v0", "v1", "v2", "v3", "v4", "v5"]);
  });

  test.each([
    ["index.json", "not json"],
    ["index.json", "[]"],
    ["index.json", '{"manifests":{}}'],
    ["index.json", '{"manifests":["text"]}'],
    ["oci-layout", "not json"],
    ["oci-layout", "{}"],
  ])("%s that reads %s is INVALID_MANIFEST, and the file is named", async (name, content) => {
    await openLayout(folder, { create: true });
    await writeFile(join(folder, name), content);
    await expect(openLayout(folder)).rejects.toMatchObject({
      code: "INVALID_MANIFEST",
      message: expect.stringContaining(join(folder, name)) as unknown,
    });
  });

  test("a layout of a version to come is not read", async () => {
    await openLayout(folder, { create: true });
    await writeFile(join(folder, "oci-layout"), '{"imageLayoutVersion":"2.0.0"}');
    await expect(openLayout(folder)).rejects.toMatchObject({ code: "UNSUPPORTED_ARTIFACT" });
  });
});

describe("an index.json that other tools wrote", () => {
  test("unknown fields stay when a tag is added", async () => {
    const layout = await openLayout(folder, { create: true });
    const bytes = await prepareManifest(layout, "ours");
    const theirs = {
      mediaType: mediaTypes.imageManifest,
      digest: digestOf("theirs"),
      size: 6,
      platform: { architecture: "arm64", os: "linux" },
      annotations: { [refName]: "their-tag", "com.example.note": "keep" },
      "x-unknown": [1, 2],
    };
    const foreign = { mediaType: "x", digest: `sha512:${"a".repeat(128)}`, size: 1 };
    await writeIndex({ schemaVersion: 2, "x-root": true, manifests: [theirs, foreign] });
    await layout.putManifest("v1", { mediaType: mediaTypes.imageManifest, bytes });
    const index = await readJson(join(folder, "index.json"));
    expect(index).toMatchObject({ "x-root": true, manifests: [theirs, foreign, {}] });
    expect((await layout.listTags()).toSorted()).toEqual(["their-tag", "v1"]);
  });

  test("an entry whose blob is not there does not resolve", async () => {
    const layout = await openLayout(folder, { create: true });
    await writeIndex({ manifests: [entry(digestOf("absent"), 6, "v1")] });
    expect(await layout.resolveManifest("v1")).toBeUndefined();
  });

  test("a full reference is found by its tag, until a tag of that very name exists", async () => {
    const layout = await openLayout(folder, { create: true });
    const [old, recent] = await putTwo(layout);
    const { digest, size } = old;
    await writeIndex({ manifests: [entry(digest, size, "registry.example.com/team/x:v1")] });
    expect(await layout.listTags()).toEqual(["v1"]);
    expect((await layout.resolveManifest("v1"))?.digest).toBe(digest);
    await layout.putManifest("v1", recent.manifest);
    expect((await layout.resolveManifest("v1"))?.digest).toBe(recent.digest);
    expect(await layout.listTags()).toEqual(["v1"]);
  });

  test("full references that disagree about a tag do not resolve it", async () => {
    const layout = await openLayout(folder, { create: true });
    const [first, second] = await putTwo(layout);
    await writeIndex({
      manifests: [
        entry(first.digest, first.size, "a.example.com/x:v1"),
        entry(second.digest, second.size, "b.example.com/x:v1"),
      ],
    });
    expect(await layout.resolveManifest("v1")).toBeUndefined();
    expect(await layout.listTags()).toEqual([]);
  });

  test("of two entries with one tag the last counts, and a new tag replaces both", async () => {
    const layout = await openLayout(folder, { create: true });
    const [first, second] = await putTwo(layout);
    await writeIndex({
      manifests: [entry(first.digest, first.size, "v1"), entry(second.digest, second.size, "v1")],
    });
    expect((await layout.resolveManifest("v1"))?.digest).toBe(second.digest);
    await layout.putManifest("v1", first.manifest);
    expect((await layout.resolveManifest("v1"))?.digest).toBe(first.digest);
    const listed = (await layout.listManifests()).map(({ digest }) => digest);
    expect(listed.toSorted()).toEqual([first.digest, second.digest].toSorted());
  });

  test("a manifest that only an image index names is found by digest", async () => {
    const layout = await openLayout(folder, { create: true });
    const child = await prepareManifest(layout, "child");
    const digest = await putBytes(layout, child);
    const index = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: mediaTypes.imageIndex,
        manifests: [{ mediaType: mediaTypes.imageManifest, digest, size: child.byteLength }],
      }),
    );
    await layout.putManifest("multi", { mediaType: mediaTypes.imageIndex, bytes: index });
    expect(await layout.resolveManifest(digest)).toEqual({
      mediaType: mediaTypes.imageManifest,
      digest,
      size: child.byteLength,
    });
    expect((await layout.listManifests()).map((listed) => listed.digest)).toEqual([
      digestOf(index),
    ]);
  });

  test("a blob that is no manifest does not resolve as one", async () => {
    const layout = await openLayout(folder, { create: true });
    const digest = await putBytes(layout, Buffer.from('{"mediaType":"x","schemaVersion":2}'));
    expect(await layout.resolveManifest(digest)).toBeUndefined();
  });
});

describe("what a layout refuses and repairs", () => {
  test("a manifest that lies about a layer's size is refused", async () => {
    const layout = await openLayout(folder, { create: true });
    await putBytes(layout, emptyConfigBytes);
    const digest = await putBytes(layout, Buffer.from("12345"));
    const bytes = serializeManifest({
      config: emptyConfig,
      layers: [{ mediaType: mediaTypes.layer, digest, size: 6 }],
    });
    await expect(
      layout.putManifest("v1", { mediaType: mediaTypes.imageManifest, bytes }),
    ).rejects.toMatchObject({ code: "INVALID_MANIFEST" });
  });

  test.each(["../v1", "a/b", "", ".hidden", "a".repeat(129), "sha256:abc"])(
    "%j is no tag",
    async (tag) => {
      const layout = await openLayout(folder, { create: true });
      const bytes = await prepareManifest(layout, "content");
      await expect(
        layout.putManifest(tag, { mediaType: mediaTypes.imageManifest, bytes }),
      ).rejects.toMatchObject({ code: "INVALID_REFERENCE" });
    },
  );

  test("a manifest whose file rotted is not returned", async () => {
    const layout = await openLayout(folder, { create: true });
    const bytes = await prepareManifest(layout, "content");
    await layout.putManifest("v1", { mediaType: mediaTypes.imageManifest, bytes });
    const rotten = Buffer.from(bytes);
    rotten[rotten.byteLength - 1] = 32;
    await writeFile(join(folder, "blobs", "sha256", digestHex(digestOf(bytes))), rotten);
    await expect(layout.fetchManifest("v1")).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
  });

  test("a blob whose file has the wrong size is written again", async () => {
    const layout = await openLayout(folder, { create: true });
    const bytes = Buffer.from("the right content");
    const digest = await putBytes(layout, bytes);
    await writeFile(join(folder, "blobs", "sha256", digestHex(digest)), "short");
    await putBytes(layout, bytes);
    expect(await layout.statBlob(digest)).toBe(bytes.byteLength);
  });

  test("a deleted tag leaves its manifest; a deleted manifest takes its tags and its file along", async () => {
    const layout = await openLayout(folder, { create: true });
    const [first] = await putTwo(layout);
    await layout.putManifest("a", first.manifest);
    await layout.putManifest("b", first.manifest);
    expect(await layout.deleteTag("a")).toBe(true);
    expect(await layout.deleteTag("a")).toBe(false);
    expect(await layout.listTags()).toEqual(["b"]);
    expect(await layout.deleteManifest(first.digest)).toBe(true);
    expect(await layout.deleteManifest(first.digest)).toBe(false);
    expect(await layout.listTags()).toEqual([]);
    expect(await layout.resolveManifest(first.digest)).toBeUndefined();
  });

  test("a failed put leaves no file in uploads", async () => {
    const layout = await openLayout(folder, { create: true });
    const blob = { digest: digestOf("promised"), size: 8 };
    await expect(layout.putBlob(blob, () => [Buffer.from("wrong by")])).rejects.toMatchObject({
      code: "DIGEST_MISMATCH",
    });
    expect(await readdir(join(folder, "uploads"))).toEqual([]);
  });

  test("a folder that cannot be written to is STORE_IO", async () => {
    const layout = await openLayout(folder, { create: true });
    await rm(join(folder, "blobs"), { recursive: true });
    await writeFile(join(folder, "blobs"), "in the way");
    await expect(putBytes(layout, Buffer.from("x"))).rejects.toMatchObject({ code: "STORE_IO" });
    expect(await readdir(join(folder, "uploads"))).toEqual([]);
  });

  test("a full disk is NO_SPACE", async ({ skip }) => {
    if (process.platform !== "linux") skip("only Linux has /dev/full");
    const write = () => writeFile("/dev/full", "x");
    await expect(onDisk("write", write)).rejects.toMatchObject({ code: "NO_SPACE" });
  });

  test("files are 0644 before the umask", async () => {
    const layout = await openLayout(folder, { create: true });
    const digest = await putBytes(layout, Buffer.from("x"));
    const expected = 0o644 & ~process.umask();
    for (const name of ["oci-layout", "index.json", `blobs/sha256/${digestHex(digest)}`])
      expect((await stat(join(folder, name))).mode & 0o777).toBe(expected);
  });
});

async function putTwo(layout: Awaited<ReturnType<typeof openLayout>>) {
  const put = async (content: string) => {
    const bytes = await prepareManifest(layout, content);
    const manifest = { mediaType: mediaTypes.imageManifest, bytes };
    const { digest, size } = await layout.putManifest(digestOf(bytes), manifest);
    return { digest, size, manifest };
  };
  return [await put("first"), await put("second")] as const;
}

function entry(digest: string, size: number, name: string): Record<string, unknown> {
  return {
    mediaType: mediaTypes.imageManifest,
    digest,
    size,
    annotations: { [refName]: name },
  };
}

async function writeIndex(document: unknown): Promise<void> {
  await writeFile(join(folder, "index.json"), JSON.stringify(document));
}

async function readJson(path: string): Promise<unknown> {
  return JSON.parse(await readFile(path, "utf8")) as unknown;
}
