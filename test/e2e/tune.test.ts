import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { diff, pull, push } from "../../src/index.ts";
import { hashFiles } from "../support/file-digests.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";
import { toolPath, toolsMissing } from "../support/programs.ts";
import { compareTensors, makeTune, measureTune, type TuneCost } from "../support/python.ts";
import { type Distribution, startDistribution } from "../support/real-registries.ts";
import {
  type Exchange,
  type RecordingProxy,
  startRecordingProxy,
} from "../support/recording-proxy.ts";
import { listBlobs } from "../support/registry-disk.ts";

/** The largest chunk the format allows (docs/format.md). */
const largestChunk = 33_554_432;
/** What a push may pack anew to leave half-dead layers behind (docs/format.md, "Base"). */
const repackShare = 0.05;

/** Functions of test/support/tensors.py. */
const tunes = [
  "one_small_tensor",
  "one_big_tensor",
  "few_layers",
  "one_kind",
  "metadata_only",
  "appended",
  "renamed_file",
  "resharded",
  "resharded_and_prefixed",
  "everything",
] as const;

describe.skipIf(toolsMissing("registry", "python", "minilm"))("a tune", () => {
  let folder: TemporaryFolder;
  let registry: Distribution;
  let proxy: RecordingProxy;
  let original: string;
  let root: string;
  const rows: string[] = [];

  beforeAll(async () => {
    folder = await makeTemporaryFolder();
    root = join(folder.path, "registry");
    registry = await startDistribution({ version: "v3", root });
    proxy = await startRecordingProxy(registry.address);
    original = toolPath("minilm");
    await push({ source: original, reference: `${proxy.address}/models/base:v1` });
  });
  afterAll(async () => {
    const columns = "changed runs edges chunks | out in | out/changed in/changed in/total";
    console.log([`tune: bytes ${columns}`, ...rows].join("\n"));
    await proxy[Symbol.asyncDispose]();
    await registry[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  test.each(tunes)("%s: moves what changed and no more, out and in", async (kind) => {
    await using scratch = await makeTemporaryFolder();
    const repository = `tunes/${kind}`;
    const [v1, v2] = ["v1", "v2"].map((tag) => `${proxy.address}/${repository}:${tag}`);
    if (v1 === undefined || v2 === undefined) throw new Error("two references");
    const base = `${proxy.address}/models/base:v1`;
    expect((await push({ source: original, reference: v1, base })).bytes.moved).toBe(0);
    const source = join(scratch.path, "tune");
    await makeTune(kind, original, source);
    const cost = await measureTune(original, source);
    const bound = 1.1 * cost.changed + largestChunk * (cost.runs + cost.edges);

    const { bytes: out, indexDigest } = await pushTune(source, v2, repository);
    expect(out).toBeLessThanOrEqual(bound);
    expect(out).toBeGreaterThanOrEqual(cost.fresh);
    expect(out).toBeLessThanOrEqual(cost.fresh * (1 + repackShare));
    const expected = await hashFiles(source);
    for (const place of ["store", "output"]) {
      const target = join(scratch.path, place);
      await pull({ reference: v1, [place]: target });
      const start = proxy.exchanges.length;
      const pulled = await pull({ reference: v2, [place]: target });
      expect(pulled.bytes.moved).toBe(cost.fresh);
      expect(layerBytes(proxy.exchanges.slice(start), indexDigest)).toBe(cost.fresh);
      expect(pulled.bytes.moved).toBeLessThanOrEqual(bound);
      expect(await hashFiles(pulled.path)).toEqual(expected);
      if (place === "output") await compareTensors(source, pulled.path);
    }
    expect((await diff({ from: v1, to: v2 })).bytes.moved).toBe(cost.fresh);
    rows.push(describeRow(kind, cost, out));
  });

  /** Pushes to a repository that has the original; resolves to the bytes its disk gained in layers. */
  async function pushTune(source: string, reference: string, repository: string) {
    const before = await listBlobs(root, repository);
    const start = proxy.exchanges.length;
    const pushed = await push({ source, reference });
    const gained = [...(await listBlobs(root, repository))].filter(
      ([digest]) => !before.has(digest) && digest !== pushed.indexDigest,
    );
    const bytes = gained.reduce((sum, [, size]) => sum + size, 0);
    expect(pushed.bytes.moved).toBe(bytes);
    const sent = proxy.exchanges
      .slice(start)
      .filter(({ method, url }) => method === "PUT" && !url.includes(pushed.indexDigest))
      .filter(({ url }) => url.includes("/blobs/uploads/"));
    expect(sent.reduce((sum, { requestBytes }) => sum + requestBytes, 0)).toBe(bytes);
    return { bytes, indexDigest: pushed.indexDigest };
  }
});

/** Bytes of layers that were answered. */
function layerBytes(exchanges: readonly Exchange[], indexDigest: string): number {
  return exchanges
    .filter(({ method, url }) => method === "GET" && url.includes("/blobs/"))
    .filter(({ url }) => !url.includes(indexDigest))
    .reduce((sum, { responseBytes }) => sum + responseBytes, 0);
}

function describeRow(kind: string, cost: TuneCost, out: number): string {
  const { total, changed, runs, edges, fresh } = cost;
  const ratio = (bytes: number, of: number) => (of === 0 ? "-" : (bytes / of).toFixed(3));
  const ratios = [ratio(out, changed), ratio(fresh, changed), ratio(fresh, total)];
  return [kind, changed, runs, edges, fresh, "|", out, fresh, "|", ...ratios].join(" ");
}
