import type { Abortable } from "../../core/progress.ts";
import { createRelayThreads } from "../../transfer/relay-threads.ts";
import type { LinkedBlob } from "./links.ts";
import type { Side } from "./side.ts";

/** Smaller blobs (4 MiB) are not worth a thread, nor a question where they lie. */
const leastBytes = 4_194_304;
/** After so many relays in a row that came to nothing, the others are not tried. */
const mostFailed = 2;

export interface RelaysOptions extends Abortable {
  readonly source: Side;
  readonly target: Side;
  readonly transfer?: { readonly sockets?: boolean | undefined } | undefined;
}

/** Brings blobs from registry to registry on threads of their own, where all is plain. */
export interface Relays extends AsyncDisposable {
  /**
   * Resolves to whether the blob is at the target; where not, it is to be sent from its start.
   * `onBytes` gets counts of bytes as they are sent. Rejects with what refuses to let it begin.
   */
  bring(blob: LinkedBlob, onBytes: (bytes: number) => void): Promise<boolean>;
}

/** Starts no thread before there is a blob for it. */
export function createRelays({ source, target, transfer, signal }: RelaysOptions): Relays {
  const threads = createRelayThreads();
  let failed = transfer?.sockets === false ? mostFailed : 0;
  return {
    async bring(blob, onBytes) {
      const { digest, size } = blob;
      const [reader, writer] = [source.repository, target.repository];
      if (size < leastBytes || failed >= mostFailed) return false;
      if (reader.locateBlob === undefined || writer.receiveBlob === undefined) return false;
      const from = await source.on(async () => reader.locateBlob?.(digest, { signal }));
      if (from === undefined) return false;
      const isThere = await target.on(async () =>
        writer.receiveBlob?.(
          blob,
          (to) => threads.relay({ digest, size, from, to }, { signal, onBytes }),
          { signal },
        ),
      );
      failed = isThere === true ? 0 : failed + 1;
      return isThere === true;
    },
    [Symbol.asyncDispose]: () => threads[Symbol.asyncDispose](),
  };
}
