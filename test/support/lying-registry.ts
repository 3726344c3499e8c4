import { createServer, type IncomingHttpHeaders, request as send } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

/** A request on its way to the registry. */
export interface TrustingRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  /** Which request it is, from 1. */
  readonly count: number;
}

interface ToldAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Buffer;
}

/** What is said instead: an answer of its own, or a true one that is changed. */
export interface Lie {
  /** Answered without asking the registry. `silent` never answers, `endless` never ends. */
  readonly instead?: Partial<ToldAnswer> | "silent" | "endless" | undefined;
  readonly change?: ((answer: ToldAnswer) => Partial<ToldAnswer>) | undefined;
}

/** A registry that stands before another and does not always tell what that says. */
export interface LyingRegistry extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly address: string;
  /** Requests so far. */
  readonly count: number;
  lie: ((request: TrustingRequest) => Lie | undefined) | undefined;
}

/** Starts it on 127.0.0.1, before the registry at `target`. */
export async function startLyingRegistry(target: string): Promise<LyingRegistry> {
  let count = 0;
  const server = createServer((request, response) => {
    const { method = "", url = "", headers } = request;
    count += 1;
    const seen = { method, url, headers, count };
    const answer = async () => {
      const body = await buffer(request);
      const { instead, change } = liar.lie?.(seen) ?? {};
      if (instead === "silent") return;
      if (instead === "endless") {
        response.writeHead(200, { "content-type": "application/octet-stream" });
        const more = () => void (response.destroyed || response.write(Buffer.alloc(65_536)));
        response.on("drain", more).on("error", () => undefined);
        more();
        return;
      }
      const told =
        instead === undefined
          ? await ask(target, seen, body)
          : { status: 200, headers: {}, body: Buffer.alloc(0), ...instead };
      const said = { ...told, ...change?.(told) };
      const kept = Object.entries(said.headers).flatMap(([name, value]) =>
        value === undefined || /^(?:connection|transfer-encoding|keep-alive)$/.test(name)
          ? []
          : [[name, value] as const],
      );
      // The length of a changed body is its own; that of a HEAD is what the registry says.
      const length = method === "HEAD" ? {} : { "content-length": String(said.body.byteLength) };
      response.writeHead(said.status, { ...Object.fromEntries(kept), ...length } as never);
      response.end(method === "HEAD" || said.status === 204 ? undefined : said.body);
    };
    answer().catch(() => response.destroy());
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject).listen(0, "127.0.0.1", resolve);
  await promise;
  const liar: LyingRegistry = {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get count() {
      return count;
    },
    lie: undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  return liar;
}

async function ask(target: string, asked: TrustingRequest, body: Buffer): Promise<ToldAnswer> {
  const [host = "", port = ""] = target.split(":");
  const { method, url: path, headers } = asked;
  const { promise, resolve, reject } = Promise.withResolvers<ToldAnswer>();
  const onward = send({ host, port, method, path, headers, agent: false }, (answer) => {
    const status = answer.statusCode ?? 0;
    buffer(answer).then(
      (bytes) => resolve({ status, headers: answer.headers, body: bytes }),
      reject,
    );
  });
  onward.on("error", reject).end(body);
  return promise;
}
