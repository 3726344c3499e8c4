import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { claimBlob, linkClaimed } from "../../src/oci/layout/blob-age.ts";
import { type CollectOptions, collectLayout } from "../../src/oci/layout/garbage/collect.ts";
import { type LayoutScene, openLayoutScene } from "../support/layout-scene.ts";

const hour = 3_600_000;
const day = 24 * hour;
let scene: LayoutScene;

beforeEach(async () => {
  scene = await openLayoutScene();
});
afterEach(() => scene[Symbol.asyncDispose]());

const collect = (options?: CollectOptions) => collectLayout(scene.layout, options);

/** Makes all blobs old, and what was remembered older by that. */
async function passTime(ageMs = 25 * hour): Promise<void> {
  await scene.age(9 * day);
  const path = join(scene.directory, "unreachable.json");
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return;
  const { since } = JSON.parse(text) as { since: Record<string, string> };
  const earlier = Object.entries(since).map(([digest, at]) => {
    return [digest, new Date(Date.parse(at) - ageMs).toISOString()];
  });
  await writeFile(path, JSON.stringify({ since: Object.fromEntries(earlier) as unknown }));
}

/** Both phases, with the grace between them. */
async function collectTwice(): Promise<Awaited<ReturnType<typeof collect>>> {
  await collect();
  await passTime();
  return collect();
}

describe("a collection", () => {
  test("takes what nothing reaches the second time, after the grace, and not before", async () => {
    await scene.manifest(["config", "layer"], { tag: "v1" });
    const stray = await scene.blob("stray");
    await passTime();
    expect(await collect()).toMatchObject({ removed: [], waiting: 1, waitingBytes: 5, kept: 3 });
    await passTime(23 * hour);
    expect(await collect()).toMatchObject({ removed: [], waiting: 1 });
    await passTime(2 * hour);
    const found = await collect({ dryRun: true });
    expect(await scene.present()).toContain(stray);
    expect(await collect()).toEqual(found);
    expect(found).toEqual({
      removed: [{ digest: stray, kind: "blob", bytes: 5, freedBytes: 5 }],
      freedBytes: 5,
      waiting: 0,
      waitingBytes: 0,
      kept: 3,
    });
    expect(await scene.present()).toHaveLength(3);
    const names = await readdir(scene.directory);
    expect(names.toSorted()).toEqual(["blobs", "index.json", "oci-layout"]);
  });

  test("keeps the manifests of a tagged index, and of an index in it", async () => {
    const inner = await scene.imageIndex([await scene.manifest(["a", "b"])]);
    await scene.imageIndex([inner, await scene.manifest(["a", "c"])], "all");
    const before = await scene.present();
    expect((await collectTwice()).removed).toEqual([]);
    expect(await scene.present()).toEqual(before);
  });

  test("keeps a signature, and the signature of that, while the tag stays, and no longer", async () => {
    const image = await scene.manifest(["image", "layer"], { tag: "v1" });
    const signature = await scene.manifest(["signature"], { subject: image });
    await scene.manifest(["countersignature"], { subject: signature });
    const before = await scene.present();
    expect((await collectTwice()).removed).toEqual([]);
    expect(await scene.present()).toEqual(before);
    await scene.layout.deleteTag("v1");
    const { removed } = await collectTwice();
    expect(removed.map(({ kind }) => kind)).toEqual([
      ...Array.from({ length: 3 }, () => "manifest"),
      ...Array.from({ length: 4 }, () => "blob"),
    ]);
    expect(await scene.present()).toEqual([]);
    expect(await scene.layout.listManifests()).toEqual([]);
  });

  test("keeps a referrer without a subject for the grace, for it may still come", async () => {
    const signature = await scene.manifest(["s"], { subject: digestOf("to come") });
    await collect();
    expect(await scene.present()).toContain(signature);
    await passTime();
    expect((await collect()).removed).toHaveLength(2);
  });

  test("keeps what a manifest names that was pushed by its digest within the grace", async () => {
    const layer = await scene.blob("old layer");
    await collect();
    await passTime();
    const child = await scene.manifest(["config", "old layer"]);
    await scene.age(9 * day, [layer]);
    expect((await collect()).removed).toEqual([]);
    expect(await scene.present()).toContain(layer);
    await scene.imageIndex([child], "all");
    await passTime();
    expect((await collect()).removed).toEqual([]);
  });

  test.each([
    ["asked for", (blob: string) => scene.layout.statBlob(digestOf(blob))],
    ["pushed", (blob: string) => scene.blob(blob)],
    ["claimed", (blob: string) => claimBlob(scene.layout.blobs, digestOf(blob))],
    ["mounted", (blob: string) => scene.layout.mountBlob(digestOf(blob), "oci:/nowhere")],
  ])("leaves alone what was %s since it was remembered", async (_, use) => {
    const blob = await scene.blob("wanted");
    await collect();
    await passTime();
    await use("wanted");
    expect(await collect()).toMatchObject({ removed: [], waiting: 1 });
    expect(await scene.present()).toEqual([blob]);
    await passTime();
    expect((await collect()).removed).toHaveLength(1);
  });

  test("leaves what it does not know: other files, other algorithms", async () => {
    const { directory } = scene;
    await mkdir(join(directory, "blobs/sha384"));
    const names = ["notes.txt", "blobs/sha256/abc", "blobs/sha384/def", "blobs/sha256/.tmp-1"];
    for (const name of names) await writeFile(join(directory, name), "x");
    await mkdir(join(directory, "blobs/sha256", "0".repeat(64)));
    await scene.blob("stray");
    const { removed } = await collect({ graceMs: 0 });
    expect(removed).toHaveLength(1);
    for (const name of names) expect(await readFile(join(directory, name), "utf8")).toBe("x");
  });

  test("takes nothing when a tagged manifest is damaged, or index.json not understood", async () => {
    const image = await scene.manifest(["config", "layer"], { tag: "v1" });
    await scene.blob("stray");
    const before = await scene.present();
    const path = scene.layout.blobs.path(image);
    const bytes = await readFile(path);
    await writeFile(path, bytes.toString().replace(digestOf("layer"), digestOf("other")));
    await expect(collect({ graceMs: 0 })).rejects.toMatchObject({ code: "INVALID_MANIFEST" });
    await writeFile(path, bytes);
    const index = join(scene.directory, "index.json");
    const document = JSON.parse(await readFile(index, "utf8")) as { manifests: object[] };
    document.manifests.push({ digest: "blake3:00", mediaType: "x", size: 1 });
    await writeFile(index, JSON.stringify(document));
    await expect(collect({ graceMs: 0 })).rejects.toMatchObject({ code: "INVALID_MANIFEST" });
    expect(await scene.present()).toEqual(before);
  });

  test("reads manifests of shapes that nobody pushed through us", async () => {
    const [layer, config] = [await scene.blob("a layer"), await scene.blob("a config")];
    const document = {
      schemaVersion: 1,
      fsLayers: [{ blobSum: layer }],
      extra: { blobs: [{ digest: config, urls: ["https://example.com/x"] }] },
    };
    const image = await scene.blob(JSON.stringify(document));
    await scene.layout.indexFile.update((index) => {
      const raw = { mediaType: "application/vnd.other.manifest", digest: image, size: 1 };
      const annotations = { "io.containerd.image.name": "somewhere" };
      const entry = { raw: { ...raw, annotations }, descriptor: undefined, refName: undefined };
      return { ...index, entries: [...index.entries, entry] };
    });
    expect((await collect({ graceMs: 0 })).removed).toEqual([]);
  });

  test("says 0 freed for a file that another repository holds, which it keeps", async () => {
    await using other = await openLayoutScene();
    const blob = await scene.blob("shared by two");
    expect(await linkClaimed(other.layout.blobs, blob, scene.layout.blobs)).toBe(true);
    const unlinked = new Map<string, number>();
    const foretold = [
      await collect({ graceMs: 0, dryRun: true, unlinked }),
      await collectLayout(other.layout, { graceMs: 0, dryRun: true, unlinked }),
    ];
    const done = [await collect({ graceMs: 0 })];
    expect(await readFile(other.layout.blobs.path(blob), "utf8")).toBe("shared by two");
    done.push(await collectLayout(other.layout, { graceMs: 0 }));
    expect(done.map(({ freedBytes }) => freedBytes)).toEqual([0, 13]);
    expect(done).toEqual(foretold);
  });

  test("forgets what is reached again, and takes damaged notes for none", async () => {
    await scene.blob("config");
    await collect();
    await passTime();
    await scene.manifest(["config"], { tag: "v1" });
    await collect();
    expect(await readdir(scene.directory)).not.toContain("unreachable.json");
    await scene.blob("stray");
    await collect();
    await passTime();
    await writeFile(join(scene.directory, "unreachable.json"), '{"since":');
    expect(await collect()).toMatchObject({ removed: [], waiting: 1 });
  });

  test("takes from index.json what it lists and nobody has", async () => {
    const image = await scene.manifest(["config"]);
    await scene.layout.blobs.remove(image);
    await collectTwice();
    expect((await scene.layout.indexFile.read()).entries).toEqual([]);
  });
});
