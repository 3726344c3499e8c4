import {
  connect as connectPlain,
  type LookupFunction,
  Socket,
  type TcpNetConnectOpts,
} from "node:net";
import { connect as connectTls, type SecureContext } from "node:tls";
import { guardedLookup, literalRefusal } from "../../core/network/guarded-lookup.ts";
import { type NetworkGuard, readNetworkGuard } from "../../core/network/network-guard.ts";
import type { ByteRange, Timeouts } from "../../oci/repository.ts";
import { createRangeResponse, type RangeResponse } from "./range-response.ts";
import { isFieldValue } from "./response-head.ts";

export interface ConnectionOptions extends Timeouts {
  readonly url: URL;
  /** Trusted for https. */
  readonly secureContext: SecureContext | undefined;
  /** Bytes read at once (at least 128 KiB). */
  readonly bufferBytes: number;
  /** Where it may lead; it ends before it began where it may not. Default: anywhere. */
  readonly guard?: NetworkGuard | undefined;
  /** Looks names up for a guarded connection. Default: the system's way. */
  readonly lookup?: LookupFunction | undefined;
}

interface RangeRequest {
  readonly url: URL;
  readonly range: ByteRange;
  readonly headers: Readonly<Record<string, string>>;
  /** Takes the bytes in order; they are valid during the call only. Throwing ends the request. */
  readonly onBytes: (bytes: Uint8Array) => void;
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
  const memory = Buffer.allocUnsafeSlow(options.bufferBytes);
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
      takeIn();
      return true;
    },
  });
  socket.on("error", () => undefined); // "close" follows.
  socket.on("end", () => finish());
  socket.on("close", () => finish());
  // Not before the certificate was checked: the request may hold a token.
  socket.once(options.url.protocol === "https:" ? "secureConnect" : "connect", () => {
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
      memory.copyWithin(0, taken, filled);
      filled -= taken;
    } catch (error) {
      return finish({ error });
    }
    if (response.state === "done" || response.state === "refused") finish();
    else if (response.state !== state) watchBody(response);
    return undefined;
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

  return {
    get idle() {
      return open && exchange === undefined;
    },
    get(request) {
      const settled = Promise.withResolvers<boolean>();
      const response = createRangeResponse(request.range, request.onBytes);
      if (open && isSendable(request)) {
        exchange = { request, response, settled, answered: false };
        if (connected) send(exchange);
        else finishAfter(options.connectMs);
      } else settled.resolve(false);
      return settled.promise;
    },
    destroy: () => {
      open = false;
      finish();
    },
  };
}

function openSocket(
  options: ConnectionOptions,
  onread: NonNullable<TcpNetConnectOpts["onread"]>,
): Socket {
  const { url, secureContext } = options;
  const guarded = guardedAddress(options);
  if (guarded === undefined) return new Socket().destroy();
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const secure = url.protocol === "https:";
  const port = Number(url.port || (secure ? 443 : 80));
  const address = { host, port, noDelay: true, onread, ...guarded };
  if (!secure) return connectPlain(address);
  // A name only: TLS has no server name for addresses (RFC 6066 3).
  const servername = /^[\d.]+$|:/.test(host) ? {} : { servername: host };
  const tls = { ...address, ...servername, ALPNProtocols: ["http/1.1"] };
  return connectTls(secureContext === undefined ? tls : { ...tls, secureContext });
}

/** How to look the host up; undefined when it is itself an address that is refused. */
function guardedAddress({
  url,
  guard,
  lookup,
}: ConnectionOptions): { lookup?: LookupFunction } | undefined {
  if (guard === undefined) return {};
  const judge = readNetworkGuard(guard);
  if (literalRefusal(judge, url) !== undefined) return undefined;
  return { lookup: guardedLookup(judge, lookup) };
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
