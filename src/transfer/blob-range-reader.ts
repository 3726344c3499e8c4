import { ModelError } from "../core/errors.ts";
import type { BlobReader } from "../oci/repository.ts";
import type { DiskThreads } from "./disk-threads.ts";
import type { LayerRange, RangeReader } from "./range-reader.ts";

/**
 * Reads ranges through a repository's own blob stream (a registry over undici, a layout folder):
 * always complete, whatever proxies, redirects and odd servers stand between.
 */
export function createBlobRangeReader(
  repository: BlobReader & { readonly name: string },
  disk: DiskThreads,
): RangeReader {
  return {
    name: repository.name,
    readInto: async (range, slices, { signal, onBytes, onSlices } = {}) => {
      const stream = disk.openStream(slices, onSlices);
      try {
        const { offset, length } = range;
        const body = repository.readBlob(range.layer, { range: { offset, length }, signal });
        let arrived = 0;
        for await (const bytes of body) {
          arrived += bytes.byteLength;
          if (arrived > length) break;
          await stream.write(bytes);
          onBytes?.(bytes.byteLength);
        }
        if (arrived !== length) throw wrongLength(repository.name, range, arrived);
        return [...(await stream.end())];
      } catch (error) {
        await stream.abort();
        throw error;
      }
    },
  };
}

function wrongLength(name: string, range: LayerRange, arrived: number): ModelError {
  const { layer, offset, length } = range;
  const bytes = arrived > length ? `more than ${length}` : `${arrived} instead of ${length}`;
  return new ModelError(
    "REGISTRY_PROTOCOL",
    `${name} answered ${bytes} bytes for layer ${layer} from byte ${offset} on`,
  );
}
