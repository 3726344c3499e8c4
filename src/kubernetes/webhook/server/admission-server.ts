import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { ListenAddress } from "../../../core/listen-address.ts";
import type { KeyedCertificate } from "../certificates/issue.ts";
import { parseReview } from "./review.ts";
import type { Reviewer } from "./reviewer.ts";

export interface AdmissionServerOptions {
  readonly listen: ListenAddress;
  readonly identity: KeyedCertificate;
  readonly review: Reviewer;
  /** Whether reviews are taken at a path. Nobody who has not been told one gets an answer. */
  readonly isAdmitted: (path: string) => boolean;
}

/** Disposing answers what has come in already, for a second, then closes. */
export interface AdmissionServer extends AsyncDisposable {
  readonly port: number;
  /** New connections see this one; those that are open stay. */
  setIdentity(identity: KeyedCertificate): void;
}

/** An API server keeps objects below 1.5 MiB; a review may hold two. */
const maxBodyBytes = 4_194_304;
const bodyMs = 10_000;
const drainMs = 1_000;

/** Answers reviews over HTTPS. Rejects where it cannot listen. */
export async function serveAdmission({
  listen,
  identity,
  review,
  isAdmitted,
}: AdmissionServerOptions): Promise<AdmissionServer> {
  const server = createServer(
    {
      ...secure(identity),
      requestTimeout: bodyMs,
      headersTimeout: bodyMs,
    },
    (request, response) => {
      answer(request, response, { review, isAdmitted }).catch(() => response.destroy());
    },
  );
  // Who speaks no TLS is hung up on.
  server.on("tlsClientError", () => undefined);
  server.listen(listen.port, listen.host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    port,
    setIdentity: (next) => server.setSecureContext(secure(next)),
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeIdleConnections();
      const timer = setTimeout(() => server.closeAllConnections(), drainMs);
      await closed;
      clearTimeout(timer);
    },
  };
}

function secure({ key, certificate }: KeyedCertificate) {
  return { key, cert: certificate, minVersion: "TLSv1.2" } as const;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { review, isAdmitted }: Pick<AdmissionServerOptions, "review" | "isAdmitted">,
): Promise<void> {
  const say = (status: number, type: string, text: string) => {
    const bytes = Buffer.from(text);
    response.writeHead(status, { "content-type": type, "content-length": bytes.byteLength });
    response.end(bytes);
  };
  if (!isAdmitted(request.url?.split("?")[0] ?? ""))
    return say(404, "text/plain", "nothing is reviewed here\n");
  if (request.method !== "POST") return say(405, "text/plain", "reviews are posted\n");
  const body = await readBody(request);
  if (body === undefined) {
    response.shouldKeepAlive = false;
    return say(413, "text/plain", `a review has at most ${maxBodyBytes} bytes\n`);
  }
  const parsed = parseReview(body);
  if (parsed === undefined)
    return say(400, "text/plain", "no AdmissionReview of admission.k8s.io/v1\n");
  say(200, "application/json", await review(parsed));
}

/** Undefined where it is too long. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of request as AsyncIterable<Uint8Array>) {
    bytes += piece.byteLength;
    if (bytes <= maxBodyBytes) pieces.push(piece);
    else if (bytes > 4 * maxBodyBytes) break;
  }
  return bytes > maxBodyBytes ? undefined : Buffer.concat(pieces).toString("utf8");
}
