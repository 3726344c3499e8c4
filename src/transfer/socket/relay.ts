import { createHash } from "node:crypto";
import { type ContentDigest, digestAlgorithm } from "../../core/digest.ts";
import type { BlobDestination } from "../../oci/repository.ts";
import { type BlobPut, startPut } from "./blob-put.ts";
import type { RangeFetch, RangeFetcher, RunningFetch } from "./range-fetcher.ts";
import type { Trust } from "./trust.ts";

/** A blob to bring from one server to another; a message to a thread. */
export interface RelayOrder {
  readonly digest: ContentDigest;
  readonly size: number;
  readonly from: Omit<RangeFetch, "range" | "bufferBytes">;
  readonly to: Omit<BlobDestination, "url"> & { readonly url: string };
}

/** A relay under way. */
export interface RunningRelay {
  /**
   * Resolves when it is over, to the status that the target answered to all of the blob's bytes.
   * Undefined where not all of them came, they were wrong, or anything else was not plain.
   */
  readonly ended: Promise<number | undefined>;
  /** Ends it now. */
  stop(): void;
}

/** Bytes read, hashed and sent at once (1 MiB). */
const bufferBytes = 1_048_576;
/** A source that broke off is asked for the rest only if it brought at least so much (1 MiB). */
const leastProgressBytes = 1_048_576;

/**
 * Brings a blob: each piece is hashed in the memory that it was read into, and sent from there; the
 * last one is sent only when all of them are right. `onBytes` gets counts of what was sent.
 */
export function startRelay(
  order: RelayOrder,
  { fetcher, trust }: { readonly fetcher: RangeFetcher; readonly trust: Trust },
  onBytes: (bytes: number) => void,
): RunningRelay {
  const { digest, size, from, to } = order;
  const url = new URL(to.url);
  let fetching: RunningFetch | undefined;
  let here = 0;
  const onEnd = () => {
    if (here < size) fetching?.stop();
  };
  const secureContext = url.protocol === "https:" ? trust(to.ca) : undefined;
  const put: BlobPut = startPut({ ...to, url, secureContext, size, onEnd });

  async function relay(): Promise<number | undefined> {
    await put.ready;
    const algorithm = digestAlgorithm(digest);
    const hash = createHash(algorithm);
    let came = Number.POSITIVE_INFINITY;
    while (here < size && came >= leastProgressBytes && !put.isOver) {
      const before = here;
      const range = { offset: here, length: size - here };
      fetching = fetcher.fetch({ ...from, range, bufferBytes }, (bytes) => {
        hash.update(bytes);
        here += bytes.byteLength;
        if (here === size && `${algorithm}:${hash.digest("hex")}` !== digest) put.destroy();
        if (put.isOver) return undefined;
        onBytes(bytes.byteLength);
        return put.write(bytes);
      });
      await fetching.ended;
      came = here - before;
    }
    if (here < size) put.destroy();
    const status = await put.answered;
    return here === size ? status : undefined;
  }

  return {
    ended: relay(),
    stop: () => put.destroy(),
  };
}
