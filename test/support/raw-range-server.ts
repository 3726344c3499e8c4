import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createSecureContext, TLSSocket } from "node:tls";
import type { KeyPair } from "./certificates.ts";
import { partial, type RawAnswer, type RawReply, type RawRequest } from "./raw-answers.ts";

/** A server of one blob that says what it is told to, byte by byte. */
export interface RawRangeServer extends AsyncDisposable {
  /** `127.0.0.1:port`, or `[::1]:port`. */
  readonly host: string;
  readonly url: string;
  /** Requests in the order they came. */
  readonly requests: readonly RawRequest[];
  /** Connections accepted so far. */
  readonly connections: number;
  /** Of them, those that nobody has closed. */
  readonly open: number;
  /** Answers of the next GETs of more than a byte, one each; all others are for `otherwise`. */
  readonly answers: RawAnswer[];
  /** At first what a good server says. */
  otherwise: RawAnswer;
  /** Shows another certificate from now on, and closes every connection. */
  become(tls: KeyPair): void;
}

export interface RawRangeServerOptions {
  readonly content: Buffer;
  readonly tls?: KeyPair | undefined;
  /** Default 127.0.0.1. */
  readonly address?: string | undefined;
}

/** Starts the server. */
export async function startRawRangeServer(options: RawRangeServerOptions): Promise<RawRangeServer> {
  const { content, address = "127.0.0.1" } = options;
  const requests: RawRequest[] = [];
  let { tls } = options;
  const open = new Set<Socket>();
  let connections = 0;
  const listener = createServer((raw) => {
    connections += 1;
    open.add(raw);
    raw.setNoDelay(true);
    raw.on("error", () => undefined).once("close", () => open.delete(raw));
    serve(raw, connections);
  });

  function serve(raw: Socket, connection: number): void {
    const socket = tls === undefined ? raw : secure(raw, tls);
    const reply = openReply(raw, socket);
    let received = "";
    let turn = 0;
    socket.on("data", (piece: Buffer) => {
      received += piece.toString("latin1");
      if (!/^[A-Z]+ ?/.test(received)) return void socket.end(notHttp);
      const end = received.indexOf("\r\n\r\n");
      if (end < 0) return;
      turn += 1;
      const request = { ...parseRequest(received.slice(0, end), content), connection, turn };
      received = received.slice(end + 4);
      requests.push(request);
      const next = request.first < request.last ? server.answers.shift() : undefined;
      Promise.resolve((next ?? server.otherwise)(reply, request)).catch(() => raw.destroy());
    });
  }

  listener.listen(0, address);
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  const host = `${address.includes(":") ? `[${address}]` : address}:${port}`;
  const server: RawRangeServer = {
    host,
    url: `${options.tls === undefined ? "http" : "https"}://${host}`,
    requests,
    get connections() {
      return connections;
    },
    get open() {
      return open.size;
    },
    answers: [],
    otherwise: partial(),
    become(pair) {
      tls = pair;
      for (const socket of open) socket.destroy();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      listener.close();
      await once(listener, "close");
    },
  };
  return server;
}

/** What servers say to a TLS handshake, among others. */
const notHttp = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

function secure(raw: Socket, { key, certificate }: KeyPair): TLSSocket {
  const secureContext = createSecureContext({ key, cert: certificate });
  const socket = new TLSSocket(raw, { isServer: true, secureContext, ALPNProtocols: ["http/1.1"] });
  return socket.on("error", () => raw.destroy());
}

function openReply(raw: Socket, socket: Socket): RawReply {
  const { promise: closed, resolve: close } = Promise.withResolvers<false>();
  raw.once("close", () => close(false));
  return {
    send: (bytes) => {
      const buffer = typeof bytes === "string" ? Buffer.from(bytes, "latin1") : bytes;
      const { promise: sent, resolve } = Promise.withResolvers<boolean>();
      socket.write(buffer, (error) => resolve(error === undefined || error === null));
      return Promise.race([sent, closed]);
    },
    reset: () => void raw.resetAndDestroy(),
    end: ({ closeNotify = true } = {}) => void (closeNotify ? socket : raw).end(),
  };
}

function parseRequest(head: string, content: Buffer): Omit<RawRequest, "connection" | "turn"> {
  const [line = "", ...lines] = head.split("\r\n");
  const [method = "", target = ""] = line.split(" ");
  const headers = new Map(
    lines.map((each): [string, string] => {
      const colon = each.indexOf(":");
      return [each.slice(0, colon).toLowerCase(), each.slice(colon + 1).trim()];
    }),
  );
  const [, first = "0", last = ""] = /^bytes=(\d+)-(\d*)$/.exec(headers.get("range") ?? "") ?? [];
  const end = last === "" ? content.byteLength - 1 : Number(last);
  return { method, target, headers, first: Number(first), last: end, content };
}
