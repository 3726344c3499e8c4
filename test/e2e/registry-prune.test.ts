import { utimesSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type Digest, digestOf } from "../../src/core/digest.ts";
import { collectLayout } from "../../src/oci/layout/garbage/collect.ts";
import { openLayout } from "../../src/oci/layout/open-layout.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { openRawRegistry, type RawRegistry } from "../conformance/raw-registry.ts";
import { bytesOf } from "../support/store-models.ts";

const repository = "busy";
const pool = Array.from({ length: 16 }, (_, at) => bytesOf(`blob ${at}`, 3000 + at));
const tags = ["t0", "t1", "t2"];
const pushes = 90;

/** Numbers from 0 to below `below` that depend on the seed and the turn alone. */
function pick(seed: string, turn: number, below: number): number {
  return bytesOf(`${seed} ${turn}`, 4).readUInt32LE() % below;
}

test.each(["one", "two", "three"])(
  "no push loses a blob that it was told is there, and no tag one of its blobs (seed %s)",
  async (seed) => {
    await using registry = await openRawRegistry();
    const wanted = new Map<Digest, number>();
    const ended = new AbortController();
    const counts = { pushed: 0, removed: 0, present: 0, deleted: 0 };

    const rounds = createRounds();

    const want = (digest: Digest, by: number) => wanted.set(digest, (wanted.get(digest) ?? 0) + by);

    async function pushOne(turn: number): Promise<void> {
      const blobs = [0, 1, 2].map((at) => pool[pick(seed, turn * 10 + at, pool.length)] ?? pool[0]);
      const document = manifestOf(blobs.filter((blob) => blob !== undefined));
      const digests = [digestOf(document), ...blobs.map((blob) => digestOf(blob ?? ""))];
      for (const digest of digests) want(digest, 1);
      for (const blob of blobs) {
        const path = `/v2/${repository}/blobs/${digestOf(blob ?? "")}`;
        const { status } = await registry.send("HEAD", path);
        if (status === 200) counts.present += 1;
        else await registry.pushBlob(repository, blob ?? Buffer.alloc(0));
      }
      const choice = pick(seed, turn * 10 + 5, tags.length + 1);
      const { status, body } = await registry.send(
        "PUT",
        `/v2/${repository}/manifests/${tags[choice] ?? digestOf(document)}`,
        { headers: { "content-type": mediaTypes.imageManifest }, body: document },
      );
      expect([status, body.toString()]).toEqual([201, ""]);
      for (const digest of digests) want(digest, -1);
      counts.pushed += 1;
    }

    async function pushAll(lane: number): Promise<void> {
      for (let turn = lane; turn < pushes; turn += 3) {
        await pushOne(turn);
        if (turn % 2 === 0) await deleteTag(turn);
        // Whoever polls for the lock gets it between two pushes.
        if (turn % 5 === 0) await rounds.next();
      }
    }

    async function deleteTag(turn: number): Promise<void> {
      const tag = tags[pick(`${seed} tags`, turn, tags.length)];
      const { status } = await registry.send("DELETE", `/v2/${repository}/manifests/${tag}`);
      counts.deleted += status === 202 ? 1 : 0;
    }

    /** As another process would: by a layout of its own. What no push wants right now gets old. */
    async function collect(): Promise<void> {
      await using layout = await openLayout(join(registry.root, repository));
      while (!ended.signal.aborted) {
        await layout.indexFile.update(async (index) => {
          await ageMarks(layout.directory);
          return index;
        });
        const old = new Date(Date.now() - 2 * 86_400_000);
        for (const digest of await listPresent(layout.directory))
          if ((wanted.get(digest) ?? 0) === 0) ageBlob(layout.blobs.path(digest), old);
        counts.removed += (await collectLayout(layout)).removed.length;
        rounds.end();
      }
    }

    async function check(): Promise<void> {
      while (!ended.signal.aborted) for (const tag of tags) await checkTag(registry, tag);
    }

    await registry.pushManifest(repository, "first");
    const others = [collect(), check()];
    await Promise.all([0, 1, 2].map(pushAll)).finally(() => ended.abort());
    await Promise.all(others);
    for (const tag of tags) await checkTag(registry, tag);
    console.log(`interleaved: ${JSON.stringify(counts)}`);
    expect(counts.pushed).toBe(pushes);
    expect(counts.removed).toBeGreaterThan(0);
    expect(counts.present).toBeGreaterThan(0);
  },
);

/** What a tag names is there, bit for bit; a tag that goes meanwhile may take it along. */
async function checkTag(registry: RawRegistry, tag: string): Promise<void> {
  const path = `/v2/${repository}/manifests/${tag}`;
  const { status, body, headers } = await registry.send("GET", path);
  if (status === 404) return;
  expect(digestOf(body)).toBe(headers["docker-content-digest"]);
  const { layers } = JSON.parse(body.toString()) as { layers: { digest: Digest }[] };
  for (const { digest } of layers) {
    const blob = await registry.send("GET", `/v2/${repository}/blobs/${digest}`);
    if (blob.status === 200 && digestOf(blob.body) === digest) continue;
    const now = await registry.send("HEAD", path);
    expect([tag, digest, now.headers["docker-content-digest"]]).not.toEqual([
      tag,
      digest,
      headers["docker-content-digest"],
    ]);
  }
}

function manifestOf(blobs: readonly Buffer[]): Buffer {
  const described = blobs.map((blob) => ({
    mediaType: "application/octet-stream",
    digest: digestOf(blob),
    size: blob.byteLength,
  }));
  const [config] = described;
  const mediaType = mediaTypes.imageManifest;
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, config, layers: described }));
}

async function ageMarks(directory: string): Promise<void> {
  const path = join(directory, "unreachable.json");
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text !== undefined) await writeFile(path, text.replaceAll(/"20\d\d-/g, '"2001-'));
}

async function listPresent(directory: string): Promise<Digest[]> {
  const names = await readdir(join(directory, "blobs/sha256"));
  return names.map((hex) => `sha256:${hex}` as Digest);
}

/** At once, so that nobody begins to want it in between. */
function ageBlob(path: string, to: Date): void {
  try {
    utimesSync(path, to, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/** Lets others wait for the end of the round that runs. */
function createRounds(): { next(): Promise<void>; end(): void } {
  let round = Promise.withResolvers<void>();
  return {
    next: () => round.promise,
    end: () => {
      round.resolve();
      round = Promise.withResolvers<void>();
    },
  };
}
