import type { ByteRange, Timeouts } from "../../oci/repository.ts";
import { openSocket, readyEvent, type SocketOptions } from "./open-socket.ts";
import { createRangeResponse, type RangeResponse } from "./range-response.ts";
import { isFieldValue } from "./response-head.ts";

export interface ConnectionOptions extends Timeouts, SocketOptions {
  /** Bytes read at once (at least 128 KiB). */
  readonly bufferBytes: number;
}

/**
 * Takes bytes in order, which are valid until it returns, or until what it returns resolves: nothing
 * is read meanwhile. Throwing ends the request.
 */
export type TakeBytes = (bytes: Uint8Array) => Promise<void> | undefined;

interface RangeRequest {
  readonly url: URL;
  readonly range: ByteRange;
  readonly headers: Readonly<Record<string, string>>;
  readonly onBytes: TakeBytes;
}

/** One connection to one origin, over which one request at a time is sent. */
export interface HttpConnection {
  /** True between requests, while the other side keeps the connection. */
  readonly idle: boolean;
  /**
   * Resolves when the exchange is over, to whether anything at all came back; whether it was the
   * whole range is known from `onBytes`. Rejects with what `onBytes` threw only.
   */
  get(request: RangeRequest): Promise<boolean>;
  destroy(): void;
}

/** A body that brings less than this (16 KiB) in `bodyMs` has stalled. */
const leastBytes = 16_384;
/** What TLS reads at once; with less room than this, bytes are passed on. */
const tlsRecordBytes = 16_384;

interface Exchange {
  readonly request: RangeRequest;
  readonly response: RangeResponse;
  readonly settled: PromiseWithResolvers<boolean>;
  answered: boolean;
}

/** Starts to connect. */
export function openConnection(options: ConnectionOptions): HttpConnection {
  let memory: Buffer = Buffer.allocUnsafeSlow(options.bufferBytes);
  /** Takes turns with it once somebody has held on to bytes of it. */
  let other: Buffer | undefined;
  /** While somebody holds on to bytes. */
  let held: Promise<void> | undefined;
  /** Bytes at the start of the memory that were not taken yet. */
  let filled = 0;
  let exchange: Exchange | undefined;
  let open = true;
  let connected = false;
  let timer: NodeJS.Timeout | undefined;

  const socket = openSocket(options, {
    buffer: () => memory.subarray(filled),
    callback: (length) => {
      filled += length;
      if (held === undefined) takeIn();
      // TLS passes on what it has taken in already.
      else if (filled === memory.byteLength) destroy();
      return held === undefined;
    },
  });
  socket.on("error", () => undefined); // "close" follows.
  socket.on("end", () => finish());
  socket.on("close", () => finish());
  // Not before the certificate was checked: the request may hold a token.
  socket.once(readyEvent(options.url), () => {
    connected = true;
    if (exchange !== undefined) send(exchange);
  });

  function finishAfter(milliseconds: number): void {
    clearTimeout(timer);
    timer = setTimeout(() => finish(), milliseconds);
  }

  function send({ request }: Exchange): void {
    finishAfter(options.headersMs);
    socket.write(requestText(request), "latin1");
  }

  /** Ends the exchange; the connection lives on if all of the answer came, and no more. */
  function finish(failure?: { readonly error: unknown }): void {
    clearTimeout(timer);
    const ended = exchange;
    exchange = undefined;
    open &&= ended?.response.state === "done" && ended.response.keepsAlive && filled === 0;
    if (!open) socket.destroy();
    filled = 0;
    if (failure === undefined) ended?.settled.resolve(ended.answered);
    else ended?.settled.reject(failure.error);
  }

  function takeIn(): void {
    if (exchange === undefined) return finish(); // Nobody asked for these bytes.
    const { response } = exchange;
    const { state } = response;
    exchange.answered = true;
    try {
      const isFull = memory.byteLength - filled < tlsRecordBytes;
      const taken = response.take(memory.subarray(0, filled), isFull);
      if (held !== undefined) return hold(exchange, taken);
      memory.copyWithin(0, taken, filled);
      filled -= taken;
    } catch (error) {
      return finish({ error });
    }
    if (response.state === "done" || response.state === "refused") finish();
    else if (response.state !== state) watchBody(response);
    return undefined;
  }

  /** Goes on in the other memory when the bytes of this one are let go of. */
  function hold(holder: Exchange, taken: number): void {
    clearTimeout(timer);
    const rest = memory.subarray(taken, filled);
    [memory, other] = [other ?? Buffer.allocUnsafeSlow(options.bufferBytes), memory];
    filled = rest.copy(memory);
    const goOn = (failure?: { readonly error: unknown }) => {
      held = undefined;
      if (exchange !== holder) return;
      const { response } = holder;
      if (failure !== undefined || response.state === "done") finish(failure);
      else {
        watchBody(response);
        if (filled > 0) takeIn();
      }
      if (held === undefined) socket.resume(); // Also for the next request.
    };
    held?.then(
      () => goOn(),
      (error: unknown) => goOn({ error }),
    );
  }

  /** Looks at the body now and then: one that barely moves would hold its range for ever. */
  function watchBody(response: RangeResponse): void {
    const { left } = response;
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (left - response.left < Math.min(leastBytes, left)) finish();
      else watchBody(response);
    }, options.bodyMs);
  }

  function destroy(): void {
    open = false;
    finish();
  }

  return {
    get idle() {
      return open && exchange === undefined;
    },
    get(request) {
      const settled = Promise.withResolvers<boolean>();
      const response = createRangeResponse(request.range, (bytes) => {
        held = request.onBytes(bytes);
      });
      if (open && isSendable(request)) {
        exchange = { request, response, settled, answered: false };
        if (connected) send(exchange);
        else finishAfter(options.connectMs);
      } else settled.resolve(false);
      return settled.promise;
    },
    destroy,
  };
}

/** Whether all header values are of one line; what they are made of comes from other servers. */
function isSendable({ headers }: RangeRequest): boolean {
  return Object.values(headers).every(isFieldValue);
}

function requestText({ url, range, headers }: RangeRequest): string {
  const fields = {
    host: url.host,
    ...headers,
    "accept-encoding": "identity",
    range: `bytes=${range.offset}-${range.offset + range.length - 1}`,
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join("")}\r\n`;
}
