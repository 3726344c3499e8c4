import { EventEmitter, once } from "node:events";
import {
  createServer,
  type IncomingMessage,
  type ServerResponse,
  request as send,
} from "node:http";
import type { AddressInfo } from "node:net";
import { type Digest, parseDigest } from "../../src/core/digest.ts";

/** One GET of a blob, as it passes. */
interface PacedRead {
  readonly digest: Digest;
  /** First and last byte that were asked for. */
  readonly first: number;
  readonly last: number;
  /** Bytes of the body that went to the client. */
  passed: number;
  /** Until the last byte has passed or the client went away. */
  isOpen: boolean;
}

/** A reverse proxy that lets the bodies of blobs pass only so far. */
export interface PacingProxy extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly address: string;
  /** In the order they came; those of one byte, which ask for the place of a blob, are left out. */
  readonly reads: PacedRead[];
  /** How many bytes of a body may pass, none keeps back its head too. At first all. */
  allow(allowed: (read: PacedRead) => number): void;
  /** Resolves once `condition` holds, asked at each change. */
  until(condition: () => boolean): Promise<void>;
}

/** Starts the proxy before the server at `target`. */
export async function startPacingProxy(target: string): Promise<PacingProxy> {
  const changes = new EventEmitter().setMaxListeners(0);
  const reads: PacedRead[] = [];
  let allowed: (read: PacedRead) => number = () => Number.POSITIVE_INFINITY;
  const until = async (condition: () => boolean) => {
    while (!condition()) await once(changes, "change");
  };

  async function pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const read = noteRead(request);
    if (read !== undefined) reads.push(read);
    response.on("drain", () => changes.emit("change"));
    response.once("close", () => {
      if (read !== undefined) read.isOpen = false;
      changes.emit("change");
    });
    changes.emit("change");
    const answer = await ask(target, request);
    const mayPass = () => response.destroyed || read === undefined || read.passed < allowed(read);
    await until(mayPass);
    response.writeHead(answer.statusCode ?? 500, answer.headers);
    for await (const piece of answer as AsyncIterable<Buffer>) {
      for (let at = 0; at < piece.byteLength && !response.destroyed; ) {
        await until(mayPass);
        const most = read === undefined ? piece.byteLength : allowed(read) - read.passed;
        const part = piece.subarray(at, at + most);
        at += part.byteLength;
        if (read !== undefined) count(read, part.byteLength);
        response.write(part);
        await until(() => !response.writableNeedDrain || response.destroyed);
        changes.emit("change");
      }
      if (response.destroyed) break;
    }
    response.end();
  }

  const server = createServer((request, response) => {
    pass(request, response).catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    reads,
    allow: (next) => {
      allowed = next;
      changes.emit("change");
    },
    until,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function count(read: PacedRead, bytes: number): void {
  read.passed += bytes;
  if (read.passed > read.last - read.first) read.isOpen = false;
}

function noteRead({ method, url = "", headers }: IncomingMessage): PacedRead | undefined {
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "") ?? [];
  if (method !== "GET" || first === undefined || first === last) return undefined;
  const digest = parseDigest(url.split("/").at(-1) ?? "");
  return { digest, first: Number(first), last: Number(last), passed: 0, isOpen: true };
}

async function ask(target: string, request: IncomingMessage): Promise<IncomingMessage> {
  const { method, url, headers } = request;
  const [host, port] = target.split(":");
  const onward = send({ host, port, method, path: url, headers, agent: false });
  request.pipe(onward);
  const [answer] = (await once(onward, "response")) as [IncomingMessage];
  return answer;
}
