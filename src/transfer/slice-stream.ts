import type { Digest } from "../core/digest.ts";
import type { Abortable } from "../core/progress.ts";
import type { DiskThread } from "./disk-threads.ts";
import type { FetchNote } from "./disk-worker.ts";
import type { FileSlice } from "./range-reader.ts";
import type { RangeFetch } from "./socket/range-fetcher.ts";

/** Bytes handed to a disk thread at once (1 MiB). */
const blockBytes = 1_048_576;
/** Blocks a stream may have under way: one being filled, one being written. */
const blocksPerStream = 2;

interface FetchOptions extends Abortable {
  /** Called with counts of bytes as they arrive. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
}

/** One stream of bytes going into file slices on a disk thread. */
export interface SliceStream {
  /** Takes a copy of `bytes`; waits while the disk is behind. Rejects with NO_SPACE or STORE_IO. */
  write(bytes: Uint8Array): Promise<void>;
  /**
   * Has the thread fetch what comes next by itself; not while bytes are written. Resolves to the
   * bytes that came, all of `wanted` or fewer. Rejects like `write`, or with the signal's reason.
   */
  fetch(wanted: RangeFetch, options?: FetchOptions): Promise<number>;
  /** The digest of each slice. Rejects like `write`, for all that went before. */
  end(): Promise<readonly Digest[]>;
  /** Resolves when the thread has let go of the files. Never rejects. */
  abort(): Promise<void>;
}

export interface SliceStreamOptions {
  readonly thread: DiskThread;
  /** A number no other stream of the thread has. */
  readonly stream: number;
  readonly slices: readonly FileSlice[];
  /** Called as slices are written: the number of the first and the digest of each, in order. */
  readonly onSlices?: ((first: number, digests: readonly Digest[]) => void) | undefined;
  /** Blocks that nobody uses, shared by all streams. */
  readonly memories: SharedArrayBuffer[];
  /** Called when the stream has ended, either way. */
  readonly onClosed: () => void;
}

/** Opens a stream; its files are opened when the first byte of each arrives. */
export function openSliceStream(options: SliceStreamOptions): SliceStream {
  const { thread, stream, slices, memories, onSlices, onClosed } = options;
  const underWay: Promise<void>[] = [];
  let memory: SharedArrayBuffer | undefined;
  let filled = 0;
  let written = 0;
  const opened = thread.ask({ type: "open", stream, slices });
  opened.catch(() => undefined);

  function tellSlices(digests: readonly Digest[]): void {
    if (digests.length > 0) onSlices?.(written, digests);
    written += digests.length;
  }

  async function flush(): Promise<void> {
    if (memory === undefined || filled === 0) return;
    const full = memory;
    const asked = thread.ask({ type: "block", stream, memory: full, length: filled });
    [memory, filled] = [undefined, 0];
    const released = asked.then((digests) => {
      memories.push(full);
      tellSlices(digests);
    });
    released.catch(() => undefined);
    underWay.push(released);
    if (underWay.length >= blocksPerStream) await underWay.shift();
  }

  return {
    write: async (bytes) => {
      for (let taken = 0; taken < bytes.byteLength; ) {
        memory ??= memories.pop() ?? new SharedArrayBuffer(blockBytes);
        const part = bytes.subarray(taken, taken + blockBytes - filled);
        new Uint8Array(memory, filled, part.byteLength).set(part);
        filled += part.byteLength;
        taken += part.byteLength;
        if (filled === blockBytes) await flush();
      }
    },
    fetch: async (wanted, { signal, onBytes } = {}) => {
      signal?.throwIfAborted();
      let came = 0;
      const onNote = ({ bytes, digests }: FetchNote) => {
        came += bytes;
        onBytes?.(bytes);
        tellSlices(digests);
      };
      const stop = () => void thread.ask({ type: "abort", stream }).catch(() => undefined);
      signal?.addEventListener("abort", stop, { once: true });
      try {
        await thread.ask({ type: "fetch", stream, wanted }, { onNote });
      } finally {
        signal?.removeEventListener("abort", stop);
      }
      signal?.throwIfAborted();
      return came;
    },
    end: async () => {
      await flush();
      await Promise.all([opened, ...underWay]);
      onClosed();
      return thread.ask({ type: "end", stream });
    },
    abort: async () => {
      if (memory !== undefined) memories.push(memory);
      memory = undefined;
      onClosed();
      await thread.ask({ type: "abort", stream }).catch(() => undefined);
    },
  };
}
