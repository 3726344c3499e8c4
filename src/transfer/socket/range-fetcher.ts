import type { BlobLocation, ByteRange } from "../../oci/repository.ts";
import { type HttpConnection, openConnection, type TakeBytes } from "./http-connection.ts";
import { createTrust, type Trust } from "./trust.ts";

/** A range to fetch by one plain GET; a message to a thread. */
export interface RangeFetch extends Omit<BlobLocation, "url"> {
  readonly url: string;
  readonly range: ByteRange;
  /** Bytes a connection reads at once. */
  readonly bufferBytes: number;
}

/** A fetch under way. */
export interface RunningFetch {
  /** Resolves when it is over, also when not all of the range came. Rejects with what `onBytes` threw. */
  readonly ended: Promise<void>;
  /** Ends it now. */
  stop(): void;
}

/** Fetches ranges over connections it keeps, each used by one fetch at a time. */
export interface RangeFetcher {
  /** Calls `onBytes` as a RangeRequest does. */
  fetch(wanted: RangeFetch, onBytes: TakeBytes): RunningFetch;
}

/**
 * Creates a fetcher; its connections end with the thread, or when the other side closes them. One
 * that no fetch uses gives way to the first to another place, and so does its memory.
 */
export function createRangeFetcher(trust: Trust = createTrust()): RangeFetcher {
  const connections = new Map<string, HttpConnection[]>();

  function connect(wanted: RangeFetch, url: URL): HttpConnection {
    const { timeouts, bufferBytes, ca, guard } = wanted;
    connections
      .values()
      .map(takeIdle)
      .find((idle) => idle !== undefined)
      ?.destroy();
    const secureContext = url.protocol === "https:" ? trust(ca) : undefined;
    return openConnection({ url, secureContext, bufferBytes, guard, ...timeouts });
  }

  return {
    fetch(wanted, onBytes) {
      const url = new URL(wanted.url);
      const { bufferBytes, ca, guard } = wanted;
      // A connection made for one who may go anywhere is none for one who may not.
      const key = JSON.stringify([url.origin, bufferBytes, ca, guard]);
      const kept = connections.get(key) ?? [];
      connections.set(key, kept);
      const { range, headers } = wanted;
      const request = { url, range, headers, onBytes };
      let connection: HttpConnection | undefined;
      let stopped = false;

      async function fetch(): Promise<void> {
        connection = takeIdle(kept);
        const answered = (await connection?.get(request)) ?? false;
        // A kept connection may have been closed just before: no fault of this range.
        if (!answered && !stopped) {
          connection = connect(wanted, url);
          await connection.get(request);
        }
        if (connection?.idle === true) kept.push(connection);
      }

      return {
        ended: fetch(),
        stop: () => {
          stopped = true;
          connection?.destroy();
        },
      };
    },
  };
}

/** The connection used last, since the others may have been closed for being idle. */
function takeIdle(kept: HttpConnection[]): HttpConnection | undefined {
  for (;;) {
    const connection = kept.pop();
    if (connection === undefined || connection.idle) return connection;
  }
}
