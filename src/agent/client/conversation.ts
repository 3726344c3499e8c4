import { type IncomingMessage, request } from "node:http";
import * as v from "valibot";
import { ModelError, systemCode } from "../../core/errors.ts";
import { parseJson } from "../../core/json.ts";
import type { Abortable } from "../../core/progress.ts";
import { errorSchema } from "../api/documents.ts";
import { readError } from "../api/error-document.ts";
import { readEvents, type ServerEvent } from "./event-stream.ts";

/** The agent at the other end of a socket. */
export interface Peer {
  readonly socketPath: string;
}

interface Question {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
}

const maxAnswerBytes = 67_108_864;

/** Sends one request and reads its JSON answer; undefined where it has none. */
export async function ask(
  peer: Peer,
  question: Question,
  { signal }: Abortable = {},
): Promise<unknown> {
  try {
    const answer = await send(peer, question, signal);
    const bytes = await readAll(answer);
    if (bytes.byteLength === 0) return undefined;
    const limits = { maxBytes: maxAnswerBytes, what: "the agent's answer" };
    return parseJson(bytes, { ...limits, code: "AGENT_FAILED" });
  } catch (error) {
    throw explain(error, peer, signal);
  }
}

/** Sends one request and reads the text of its answer. */
export async function askText(
  peer: Peer,
  question: Question,
  { signal }: Abortable = {},
): Promise<string> {
  try {
    return (await readAll(await send(peer, question, signal))).toString("utf8");
  } catch (error) {
    throw explain(error, peer, signal);
  }
}

/** Sends one request and follows the events of its answer until it ends. */
export async function* listen(
  peer: Peer,
  question: Question,
  { signal }: Abortable = {},
): AsyncGenerator<ServerEvent, void, undefined> {
  let answer: IncomingMessage | undefined;
  try {
    answer = await send(peer, question, signal);
    yield* readEvents(answer);
  } catch (error) {
    throw explain(error, peer, signal);
  } finally {
    answer?.destroy();
  }
}

/** Resolves with the answer once its head says that all is well. */
async function send(
  { socketPath }: Peer,
  { method, path, body }: Question,
  signal: AbortSignal | undefined,
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
  const headers =
    payload === undefined
      ? {}
      : { "content-type": "application/json", "content-length": payload.byteLength };
  const options = { socketPath, path, method, headers: { host: "agent", ...headers } };
  const sent = request({ ...options, agent: false, ...(signal === undefined ? {} : { signal }) });
  sent.once("response", resolve);
  sent.on("error", reject);
  sent.end(payload);
  const answer = await promise;
  const { statusCode = 0 } = answer;
  if (statusCode >= 200 && statusCode < 300) return answer;
  throw await refusal(answer);
}

async function refusal(answer: IncomingMessage): Promise<ModelError> {
  const limits = { maxBytes: maxAnswerBytes, what: "the agent's answer" };
  const raw = parseJson(await readAll(answer), { ...limits, code: "AGENT_FAILED" });
  const read = v.safeParse(v.object({ error: errorSchema }), raw);
  if (read.success) return readError(read.output.error);
  return new ModelError("AGENT_FAILED", `the agent answered ${answer.statusCode}`);
}

async function readAll(answer: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of answer) {
    const buffer = Buffer.from(piece as Uint8Array);
    bytes += buffer.byteLength;
    if (bytes > maxAnswerBytes)
      throw new ModelError("AGENT_FAILED", `the agent's answer exceeds ${maxAnswerBytes} bytes`);
    pieces.push(buffer);
  }
  return Buffer.concat(pieces);
}

/** Codes of a socket nobody listens at, or whose listener went away. */
const goneCodes = new Set(["ENOENT", "ECONNREFUSED", "ECONNRESET", "EPIPE", "ENOTSOCK"]);

function explain(error: unknown, { socketPath }: Peer, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted === true) return signal.reason;
  const code = systemCode(error);
  if (code === "EACCES" || code === "EPERM")
    return new ModelError("FORBIDDEN", `the agent's socket ${socketPath} is not for this user`, {
      hint: "join the socket folder's group, or run as root",
      cause: error,
    });
  if (code === undefined || !goneCodes.has(code)) return error;
  const why = code === "ENOENT" || code === "ECONNREFUSED" ? "nobody listens" : "it went away";
  return new ModelError("AGENT_UNAVAILABLE", `no agent answers at ${socketPath}: ${why}`, {
    hint: "start one with `ballast agent`, or name its sockets' folder with --run",
    cause: error,
  });
}
