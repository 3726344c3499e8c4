import type { BlobDestination } from "../../oci/repository.ts";
import { openSocket, readyEvent, type SocketOptions } from "./open-socket.ts";
import { isFieldValue, maxHeadBytes, parseResponseHead } from "./response-head.ts";

export interface BlobPutOptions extends SocketOptions, Omit<BlobDestination, "url" | "ca"> {
  /** Bytes of the body. */
  readonly size: number;
  /** Called when it is over: nothing more is taken. */
  readonly onEnd: () => void;
}

/** One plain PUT over a connection of its own. */
export interface BlobPut {
  /** Resolves when bytes may be written, and when it is over. */
  readonly ready: Promise<void>;
  /** The status of the final answer, which may come early; undefined when there is no plain one. */
  readonly answered: Promise<number | undefined>;
  readonly isOver: boolean;
  /** Sends what follows; undefined when `bytes` are free again at once, else resolves when they are. */
  write(bytes: Uint8Array): Promise<void> | undefined;
  destroy(): void;
}

/** Interim answers before the final one. */
const maxInterim = 16;

/** Starts to connect. It ends itself when bytes are not taken within `bodyMs`, or no answer comes in time. */
export function startPut(options: BlobPutOptions): BlobPut {
  const { timeouts, size, commitMs } = options;
  const ready = Promise.withResolvers<void>();
  const answered = Promise.withResolvers<number | undefined>();
  const memory = Buffer.allocUnsafeSlow(maxHeadBytes);
  let filled = 0;
  let interim = 0;
  let left = size;
  let isOver = false;
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
  socket.once(readyEvent(options.url), () => {
    clearTimeout(timer);
    socket.write(requestText(options), "latin1");
    ready.resolve();
  });
  finishAfter(timeouts.connectMs);
  if (!Object.values(options.headers).every(isFieldValue)) finish();

  function finishAfter(milliseconds: number): void {
    clearTimeout(timer);
    timer = setTimeout(() => finish(), milliseconds);
  }

  function finish(status?: number): void {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    socket.destroy();
    ready.resolve();
    answered.resolve(status);
    options.onEnd();
  }

  function takeIn(): void {
    while (!isOver) {
      const head = parseResponseHead(memory.subarray(0, filled));
      if (head === "incomplete") return;
      if (head === "malformed" || head.status === 101 || interim === maxInterim) return finish();
      if (head.status >= 200) return finish(head.status);
      interim += 1;
      memory.copyWithin(0, head.byteLength, filled);
      filled -= head.byteLength;
    }
  }

  function taken(): void {
    if (isOver) return;
    if (left === 0) finishAfter(commitMs);
    else clearTimeout(timer);
  }

  return {
    ready: ready.promise,
    answered: answered.promise,
    get isOver() {
      return isOver;
    },
    write(bytes) {
      if (isOver) return undefined;
      const free = Promise.withResolvers<void>();
      left -= bytes.byteLength;
      finishAfter(timeouts.bodyMs);
      socket.write(bytes, () => {
        taken();
        free.resolve();
      });
      // What the kernel took at once is free before Node says so.
      if (socket.writableLength > 0) return free.promise;
      taken();
      return undefined;
    },
    destroy: () => finish(),
  };
}

function requestText({ url, headers, size }: BlobPutOptions): string {
  const fields = { host: url.host, ...headers, "content-length": size, connection: "close" };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  return `PUT ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join("")}\r\n`;
}
