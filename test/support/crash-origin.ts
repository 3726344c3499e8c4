import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { type IndexedFile, parseChunkIndex } from "../../src/core/chunk-index.ts";
import type { Digest } from "../../src/core/digest.ts";
import type { PullResult } from "../../src/model/pull.ts";
import { push } from "../../src/model/push.ts";
import { startRegistry } from "../../src/registry/server/server.ts";
import { type Exchange, startRecordingProxy } from "./recording-proxy.ts";

/** Where the models of a scene come from: versions under one tag. */
export interface CrashOrigin extends AsyncDisposable {
  readonly reference: string;
  /** Pushes a folder; resolves to the model's files. */
  push(source: string): Promise<readonly IndexedFile[]>;
  /** Runs a pull; resolves to the bytes of layers that it fetched. */
  count(work: () => Promise<PullResult>): Promise<number>;
}

/** A layout folder: fast, but what was fetched is only what the pull says. */
export function openLayoutOrigin(place: string): CrashOrigin {
  const layout = join(place, "origin");
  const reference = `oci:${layout}:main`;
  return {
    reference,
    push: async (source) => {
      const { indexDigest } = await push({ source, reference });
      return readFiles(layout, indexDigest);
    },
    count: async (work) => (await work()).bytes.moved,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** A registry that counts what it serves. */
export async function openRegistryOrigin(place: string): Promise<CrashOrigin> {
  await using resources = new AsyncDisposableStack();
  const root = join(place, "registry");
  const registry = resources.use(await startRegistry({ root }));
  const proxy = resources.use(await startRecordingProxy(registry.address));
  const reference = `${proxy.address}/team/model:main`;
  const indexes = new Set<string>();
  const owned = resources.move();
  return {
    reference,
    push: async (source) => {
      const pushed = await push({ source, reference });
      indexes.add(pushed.indexDigest);
      return readFiles(join(root, "team+model"), pushed.indexDigest);
    },
    count: async (work) => {
      proxy.exchanges.length = 0;
      await work();
      return bytesOfLayers(proxy.exchanges, indexes);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function readFiles(layout: string, index: Digest): Promise<readonly IndexedFile[]> {
  const path = join(layout, "blobs", index.replace(":", "/"));
  return parseChunkIndex(await readFile(path), path).files;
}

function bytesOfLayers(exchanges: readonly Exchange[], documents: ReadonlySet<string>): number {
  return (
    exchanges
      .filter(({ method, url }) => method === "GET" && url.includes("/blobs/"))
      .filter(({ url }) => !documents.has(basename(url)))
      // One byte is asked for to learn where a layer lies.
      .filter(({ responseBytes }) => responseBytes > 1)
      .reduce((sum, { responseBytes }) => sum + responseBytes, 0)
  );
}
