import { ModelError } from "../core/errors.ts";
import type { BlobLocator, BlobReader } from "../oci/repository.ts";
import type { DiskThreads } from "./disk-threads.ts";
import type { LayerRange, RangeReader, ReadIntoOptions } from "./range-reader.ts";
import type { SliceStream } from "./slice-stream.ts";

export type BlobSource = BlobReader & Partial<BlobLocator> & { readonly name: string };

/**
 * Reads ranges through a repository's own blob stream (a registry over undici, a layout folder):
 * always complete, whatever proxies, redirects and odd servers stand between.
 */
export function createBlobRangeReader(source: BlobSource, disk: DiskThreads): RangeReader {
  return createReader(source, disk, () => Promise.resolve(0));
}

/** A socket that brought less than this (1 MiB) is not tried again for the rest of a range. */
const leastProgressBytes = 1_048_576;

/**
 * Has the disk threads fetch ranges over sockets of their own, so that the bytes cross no thread and
 * no stream. Whatever is not the plain answer to a plain request, from the byte reached on, and all of
 * a source that knows no location, is read as `createBlobRangeReader` reads it. `bufferBytes` says what
 * a connection reads at once, at least 128 KiB.
 */
export function createSocketRangeReader(
  source: BlobSource,
  disk: DiskThreads,
  bufferBytes: () => number,
): RangeReader {
  return createReader(source, disk, async (range, stream, { signal, onBytes }) => {
    let here = 0;
    let came = Number.POSITIVE_INFINITY;
    while (here < range.length && came >= leastProgressBytes) {
      const location = await source.locateBlob?.(range.layer, { signal });
      if (location === undefined) break;
      const { url, ...terms } = location;
      const rest = { offset: range.offset + here, length: range.length - here };
      const wanted = { ...terms, url: url.href, range: rest, bufferBytes: bufferBytes() };
      came = await stream.fetch(wanted, { signal, onBytes });
      here += came;
    }
    return here;
  });
}

/** Brings the first bytes of a range, as many as it can, and resolves to how many. */
type FirstBytes = (
  range: LayerRange,
  stream: SliceStream,
  options: ReadIntoOptions,
) => Promise<number>;

function createReader(source: BlobSource, disk: DiskThreads, first: FirstBytes): RangeReader {
  return {
    name: source.name,
    readInto: async (range, slices, options = {}) => {
      const { signal, onSlices } = options;
      signal?.throwIfAborted();
      const stream = disk.openStream(slices, onSlices);
      try {
        const here = await first(range, stream, options);
        if (here < range.length) await copyRest({ source, range, here, stream }, options);
        return [...(await stream.end())];
      } catch (error) {
        await stream.abort();
        throw error;
      }
    },
  };
}

/** A range of which the first `here` bytes are there. */
interface Rest {
  readonly source: BlobSource;
  readonly range: LayerRange;
  readonly here: number;
  readonly stream: SliceStream;
}

async function copyRest(
  { source, range, here, stream }: Rest,
  { signal, onBytes }: ReadIntoOptions,
): Promise<void> {
  const rest = { offset: range.offset + here, length: range.length - here };
  let arrived = 0;
  for await (const bytes of source.readBlob(range.layer, { range: rest, signal })) {
    arrived += bytes.byteLength;
    if (arrived > rest.length) break;
    await stream.write(bytes);
    onBytes?.(bytes.byteLength);
  }
  if (arrived !== rest.length) throw wrongLength(source.name, range, here + arrived);
}

function wrongLength(name: string, range: LayerRange, arrived: number): ModelError {
  const { layer, offset, length } = range;
  const bytes = arrived > length ? `more than ${length}` : `${arrived} instead of ${length}`;
  return new ModelError(
    "REGISTRY_PROTOCOL",
    `${name} answered ${bytes} bytes for layer ${layer} from byte ${offset} on`,
  );
}
