import {
  createServer,
  type IncomingMessage,
  type ServerResponse,
  request as send,
} from "node:http";
import type { AddressInfo } from "node:net";

/** One request and its answer, as they passed. */
export interface Exchange {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  /** 0 when the server went away before it answered. */
  status: number;
  /** Bytes of the bodies. */
  requestBytes: number;
  responseBytes: number;
  /** Whether the server sent its answer to the end. */
  complete: boolean;
}

/** A reverse proxy with an address that stays while the server behind it comes and goes. */
export interface RecordingProxy extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly address: string;
  /** `127.0.0.1:port` of the server behind it. */
  target: string;
  /** In the order the requests came. */
  readonly exchanges: Exchange[];
  /** Called at each answer's status, at each piece of a body, and when an answer is complete. */
  onPass: ((exchange: Exchange) => void) | undefined;
  /** Waited for before a request goes on. */
  beforePass: ((exchange: Exchange) => Promise<void>) | undefined;
}

/** Starts the proxy on 127.0.0.1; it cuts a connection whose server breaks or is not there. */
export async function startRecordingProxy(target: string): Promise<RecordingProxy> {
  const server = createServer((request, response) => void pass(proxy, request, response));
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject).listen(0, "127.0.0.1", resolve);
  await promise;
  const proxy: RecordingProxy = {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    target,
    exchanges: [],
    onPass: undefined,
    beforePass: undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  return proxy;
}

async function pass(
  proxy: RecordingProxy,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method = "", url = "", headers } = request;
  const exchange = { method, url, status: 0, requestBytes: 0, responseBytes: 0, complete: false };
  proxy.exchanges.push(exchange);
  await proxy.beforePass?.(exchange);
  const [host = "", port = ""] = proxy.target.split(":");
  const cut = () => {
    request.destroy();
    response.destroy();
  };
  // Without an agent: a connection kept alive would tie the proxy to a server that was killed.
  const onward = send({ host, port, method, path: url, headers, agent: false }, (answer) => {
    exchange.status = answer.statusCode ?? 0;
    proxy.onPass?.(exchange);
    response.writeHead(exchange.status, answer.headers);
    answer.on("data", (piece: Buffer) => {
      exchange.responseBytes += piece.byteLength;
      proxy.onPass?.(exchange);
    });
    answer.on("end", () => {
      exchange.complete = true;
      proxy.onPass?.(exchange);
    });
    answer.on("error", cut).pipe(response);
    answer.on("aborted", cut);
  });
  onward.on("error", cut);
  response.on("error", cut);
  response.on("close", () => onward.destroy());
  request.on("error", cut);
  request.on("data", (piece: Buffer) => {
    exchange.requestBytes += piece.byteLength;
    proxy.onPass?.(exchange);
  });
  request.pipe(onward);
}
