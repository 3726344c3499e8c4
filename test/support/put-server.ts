import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { KeyPair } from "./certificates.ts";
import { sha256 } from "./registry-faults.ts";

/** A server that takes PUTs, and does with each what it is told to. */
export interface PutServer extends AsyncDisposable {
  readonly url: URL;
  /** The heads that came. */
  readonly requests: readonly IncomingMessage[];
  /** The digests of the bodies that came whole. */
  readonly digests: readonly string[];
  /** Connections that nobody has closed. */
  open(): Promise<number>;
}

/** Takes one PUT, or not. */
export type TakePut = (request: IncomingMessage, response: ServerResponse) => unknown;

/** Starts the server; without `take` it stores everything, and says 201. */
export async function startPutServer({
  tls,
  take = async (request, response) => void (await readAll(request), response.writeHead(201).end()),
}: {
  readonly tls?: KeyPair | undefined;
  readonly take?: TakePut | undefined;
} = {}): Promise<PutServer> {
  const requests: IncomingMessage[] = [];
  const digests: string[] = [];
  const heard = (request: IncomingMessage, response: ServerResponse) => {
    requests.push(request);
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece)).pause();
    request.on("end", () => digests.push(sha256(Buffer.concat(pieces))));
    request.on("error", () => undefined);
    Promise.resolve(take(request, response)).catch(() => request.destroy());
  };
  const listener = tls
    ? createTlsServer({ key: tls.key, cert: tls.certificate }, heard)
    : createServer(heard);
  const listening = Promise.withResolvers<void>();
  listener.once("error", listening.reject).listen(0, "127.0.0.1", listening.resolve);
  await listening.promise;
  const { port } = listener.address() as AddressInfo;
  return {
    url: new URL(`${tls ? "https" : "http"}://127.0.0.1:${port}/upload?digest=x`),
    requests,
    digests,
    open: () => {
      const { promise, resolve, reject } = Promise.withResolvers<number>();
      listener.getConnections((error, count) => (error ? reject(error) : resolve(count)));
      return promise;
    },
    async [Symbol.asyncDispose]() {
      listener.closeAllConnections();
      await new Promise((done) => listener.close(done));
    },
  };
}

/** Reads a body to its end. */
export async function readAll(request: IncomingMessage): Promise<void> {
  const ended = new Promise((resolve, reject) => request.on("end", resolve).on("error", reject));
  request.resume();
  await ended;
}
