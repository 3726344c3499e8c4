import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { ProtocolError } from "./errors.ts";
import { answerEmpty, type Exchange } from "./exchange.ts";

/** Sends readers of blobs on to a URL that needs no login for a while, as object stores have them. */
export interface BlobRedirects {
  /** How long a URL works, in milliseconds; default 20 minutes. */
  readonly lifeMs?: number | undefined;
  /** The host name in the URL, its port staying; default that of the request. */
  readonly host?: string | undefined;
}

const prefix = "/signed";

/** Makes and checks the URLs. Their key lives as long as the process. */
export class SignedBlobs {
  readonly #key = randomBytes(32);
  readonly #lifeMs: number;
  readonly #host: string | undefined;

  constructor({ lifeMs = 1_200_000, host }: BlobRedirects) {
    this.#lifeMs = lifeMs;
    this.#host = host;
  }

  /** Answers 307 with the URL of the blob that was asked for. */
  answer(exchange: Pick<Exchange, "request" | "response" | "repository" | "reference">): void {
    const { request, repository, reference } = exchange;
    const path = `/v2/${repository}/blobs/${reference}`;
    const expires = String(Date.now() + this.#lifeMs);
    const signature = this.#sign(path, expires);
    const target = `${prefix}${path}?expires=${expires}&signature=${signature}`;
    answerEmpty(exchange, 307, { Location: `${this.#origin(request)}${target}` });
  }

  /**
   * The path under `/v2/` that a signed one stands for; undefined for one that is none. Throws 403
   * when the signature is wrong or old, 400 when the request has a login besides that was not for
   * that host, as stores do.
   */
  resolve(
    request: IncomingMessage,
    { method, path, query }: { method: string; path: string; query: URLSearchParams },
  ): string | undefined {
    if (!path.startsWith(`${prefix}/`)) return undefined;
    const target = path.slice(prefix.length);
    const expires = query.get("expires") ?? "";
    const wanted = Buffer.from(this.#sign(target, expires));
    const given = Buffer.from(query.get("signature") ?? "");
    const same = wanted.byteLength === given.byteLength && timingSafeEqual(wanted, given);
    if (!same || Number(expires) < Date.now() || (method !== "GET" && method !== "HEAD"))
      throw new ProtocolError(403, { code: "DENIED", message: "the URL is not valid, or no more" });
    // On one host clients send their login on, and may.
    if (this.#host !== undefined && request.headers.authorization !== undefined)
      throw new ProtocolError(400, {
        code: "UNSUPPORTED",
        message: "a signed URL and a login in one request",
      });
    return target;
  }

  /** Relative where the client did not say how it reached us. */
  #origin({ headers, socket }: IncomingMessage): string {
    const [, name, port = ""] =
      /^(\[[0-9a-f:.]+\]|[\w.-]+)(:\d+)?$/i.exec(headers.host ?? "") ?? [];
    if (name === undefined) return "";
    return `${"encrypted" in socket ? "https" : "http"}://${this.#host ?? name}${port}`;
  }

  #sign(path: string, expires: string): string {
    return createHmac("sha256", this.#key).update(`${path}\n${expires}`).digest("hex");
  }
}
