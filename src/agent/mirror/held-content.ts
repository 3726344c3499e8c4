import { open } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { isRecord } from "../../core/chunk-index.ts";
import { forEachConcurrently } from "../../core/concurrently.ts";
import type { Digest } from "../../core/digest.ts";
import { parseOrUndefined } from "../../core/parse-or-undefined.ts";
import type { Abortable } from "../../core/progress.ts";
import { emptyConfig, emptyConfigBytes, parseManifest } from "../../oci/manifest.ts";
import { mediaTypes } from "../../oci/media-types.ts";
import type { FetchedManifest } from "../../oci/repository.ts";
import type { SatisfiedRange } from "../../registry/server/range.ts";
import type { BlobBytes } from "../../registry/server/send-blob.ts";
import { sendFile } from "../../registry/server/send-file.ts";
import { readIndex } from "../../store/chunk-locations.ts";
import {
  grantedFiles,
  listRecordsOf,
  readRecord,
  type StoredRecord,
} from "../../store/model-record.ts";
import type { Store } from "../../store/store.ts";
import type { Origin } from "../../store/store-paths.ts";
import { isWhole } from "../../store/whole-files.ts";
import { coverLayer, cutSlices, type FileSlice, layersOf, type Stretch } from "./layer-cover.ts";
import { createRecent } from "./recent.ts";

/** A blob that stays where it is until disposed. */
interface HeldBlob extends BlobBytes, Disposable {}

/** What a store got from an origin, as the registry had it. Nobody is asked whether they may see it. */
export interface HeldContent {
  /** A manifest that a record of the origin stands for. */
  readManifest(origin: Origin, digest: Digest): Promise<FetchedManifest | undefined>;
  /** Manifests of the origin's records that name a blob, those used last first. */
  manifestsWith(origin: Origin, blob: Digest): Promise<Digest[]>;
  /**
   * Opens a blob that one of these manifests names: an index, the empty config, or a layer of which
   * every byte lies in files granted to that record. Undefined where that is not so.
   */
  openBlob(
    origin: Origin,
    blob: Digest,
    options: Abortable & { readonly of: readonly Digest[] },
  ): Promise<HeldBlob | undefined>;
}

/** Blobs that manifests name to remember, */
const mostNames = 100_000;
/** and stretches of indexes: 100 MB and less. */
const mostStretches = 500_000;

/** Looks into a store; what documents say is remembered by their digest, what is there is looked up. */
export function createHeldContent(store: Store): HeldContent {
  const { paths } = store;
  const names = createRecent<Map<Digest, number>>(mostNames, ({ size }) => size);
  const layouts = createRecent<Map<Digest, Stretch[]>>(mostStretches, (layers) =>
    layers.values().reduce((sum, stretches) => sum + stretches.length, layers.size),
  );

  /** The size that a manifest states for a blob. */
  async function statedSize(manifest: Digest, blob: Digest): Promise<number | undefined> {
    const named = await names.get(manifest, async () => {
      const bytes = await store.readBlob(manifest);
      if (bytes === undefined) return undefined;
      const { config, layers } = parseManifest(bytes, `manifest ${manifest}`);
      return new Map([config, ...layers].map(({ digest, size }) => [digest, size]));
    });
    return named?.get(blob);
  }

  async function findIndex(index: Digest, size: number): Promise<FileSlice[] | undefined> {
    const path = paths.blob(index);
    return (await isWhole(path, size)) ? [{ path, offset: 0, length: size }] : undefined;
  }

  async function findLayer(
    record: StoredRecord,
    layer: Digest,
    size: number,
  ): Promise<FileSlice[] | undefined> {
    const layout = await layouts.get(record.index, async () => {
      const index = await readIndex(paths, record);
      return index && layersOf(index);
    });
    const stretches = layout?.get(layer) ?? [];
    const granted = await grantedFiles(paths, record);
    const sizes = new Map(stretches.map(({ file, fileBytes }) => [file, fileBytes]));
    const here = new Set<string>();
    await forEachConcurrently(sizes, 16, async ([file, bytes]) => {
      if (granted.has(file) && (await isWhole(paths.file(file), bytes))) here.add(file);
    });
    const held = stretches.filter(({ file }) => here.has(file));
    return coverLayer(held, { size, pathOf: (file) => paths.file(file) });
  }

  /** What is found under a lease stays. */
  async function openUnder(
    origin: Origin,
    manifest: Digest,
    blob: Digest,
  ): Promise<BlobBytes | undefined> {
    const record = await readRecord(paths, origin, manifest);
    const size = await statedSize(manifest, blob);
    if (record === undefined || size === undefined) return undefined;
    if (blob === emptyConfig.digest) return bytesOf(emptyConfigBytes);
    const isIndex = blob === record.index;
    const slices = await (isIndex ? findIndex(blob, size) : findLayer(record, blob, size));
    return slices && { size, send: (response, part) => sendSlices(response, slices, part) };
  }

  return {
    readManifest: async (origin, digest) => {
      if ((await readRecord(paths, origin, digest)) === undefined) return undefined;
      const bytes = await store.readBlob(digest);
      if (bytes === undefined) return undefined;
      return { descriptor: { mediaType: typeOf(bytes), digest, size: bytes.byteLength }, bytes };
    },

    manifestsWith: async (origin, blob) => {
      const records = await listRecordsOf(paths, origin);
      records.sort((a, b) => b.lastUsed.getTime() - a.lastUsed.getTime());
      const found: Digest[] = [];
      for (const { manifest } of records)
        if ((await statedSize(manifest, blob)) !== undefined) found.push(manifest);
      return found;
    },

    openBlob: async (origin, blob, { of: manifests, signal }) => {
      for (const manifest of manifests) {
        using stack = new DisposableStack();
        stack.use(await store.lease(origin, manifest, { signal }));
        const opened = await openUnder(origin, manifest, blob);
        if (opened === undefined) continue;
        const lease = stack.move();
        return { ...opened, [Symbol.dispose]: () => lease.dispose() };
      }
      return undefined;
    },
  };
}

function bytesOf(bytes: Buffer): BlobBytes {
  return {
    size: bytes.byteLength,
    send: async (response, { offset, length }) =>
      void response.write(bytes.subarray(offset, offset + length)),
  };
}

async function sendSlices(
  response: ServerResponse,
  slices: readonly FileSlice[],
  part: SatisfiedRange,
): Promise<void> {
  for (const { path, offset, length } of cutSlices(slices, part)) {
    if (response.destroyed) return;
    await using file = await open(path);
    await sendFile(response, file, { offset, length });
  }
}

function typeOf(manifest: Buffer): string {
  const root = parseOrUndefined(manifest.toString());
  const type = isRecord(root) ? root["mediaType"] : undefined;
  return typeof type === "string" ? type : mediaTypes.imageManifest;
}
