import { readFile } from "node:fs/promises";
import { get as getPlain, type IncomingMessage } from "node:http";
import { get as getTls } from "node:https";
import { setTimeout as delay } from "node:timers/promises";

/** Requests and the bytes of content that answers carried. */
export interface Traffic {
  readonly requests: number;
  readonly movedBytes: number;
}

/** The access log of a server, counted between two moments. */
export interface RequestLog {
  /** Notes where the log is, once everything answered so far stands in it. */
  mark(): Promise<number>;
  /** What came after a mark. */
  since(mark: number): Promise<Traffic>;
}

export interface RequestLogOptions {
  /** In Apache's combined format, a line a request. */
  readonly file: string;
  /** A URL of the server that may be asked for to find out how far its log is. */
  readonly url: string;
  readonly authority?: string | undefined;
}

const line = /"(?<method>[A-Z]+) (?<path>\S+) HTTP\/[\d.]+" (?<status>\d+) (?<bytes>\d+|-)/;
const markName = "bench-mark";
const patienceMs = 10_000;

/** Opens the log of a running server. */
export function openRequestLog(options: RequestLogOptions): RequestLog {
  let marks = 0;
  // A server writes its line after the answer: once a later request stands there, so do the others.
  async function settle(): Promise<string> {
    marks += 1;
    const name = `${markName}=${marks}-`;
    await ask(`${options.url}?${name}`, options.authority);
    for (const started = performance.now(); performance.now() - started < patienceMs; ) {
      const text = await readFile(options.file, "latin1");
      if (text.includes(name)) return text;
      await delay(5);
    }
    throw new Error(`${options.file} does not show a request that was answered`);
  }
  return {
    mark: async () => (await settle()).length,
    since: async (mark) => countTraffic((await settle()).slice(mark)),
  };
}

/** Counts the lines of an access log, less the bench's own. */
export function countTraffic(text: string): Traffic {
  let [requests, movedBytes] = [0, 0];
  for (const each of text.split("\n")) {
    const { method, path = "", bytes = "-" } = line.exec(each)?.groups ?? {};
    if (method === undefined || path.includes(markName)) continue;
    requests += 1;
    if (method === "GET" && path.includes("/blobs/sha256:") && bytes !== "-")
      movedBytes += Number(bytes);
  }
  return { requests, movedBytes };
}

async function ask(url: string, ca: string | undefined): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const read = (response: IncomingMessage) => response.resume().on("end", resolve);
  const request =
    ca === undefined ? getPlain(url, { agent: false }) : getTls(url, { agent: false, ca });
  request.on("response", read).on("error", reject);
  await promise;
}
