import type { IncomingHttpHeaders } from "node:http";
import { isRecord } from "../../core/chunk-index.ts";
import { type Answer, bodyPieces, header } from "../client/http/answer.ts";
import { networkFailure } from "../client/http/request-failure.ts";
import { Unmet } from "./probe.ts";

/** An answer of a registry, read to its end or to a limit. */
export interface Said {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly url: URL;
  readonly body: Buffer;
}

/** Reads the body up to `limit` bytes and gives up the rest. */
export async function hear(answer: Answer, what: string, limit: number): Promise<Said> {
  const { status, headers, url } = answer;
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const piece of bodyPieces(answer)) {
      pieces.push(piece.subarray(0, limit - bytes));
      bytes += piece.byteLength;
      if (bytes >= limit) break;
    }
  } catch (error) {
    throw networkFailure(error, what, url.host);
  }
  return { status, headers, url, body: Buffer.concat(pieces) };
}

/** The codes of distribution-spec 1.1 and those that registries have besides. */
const knownCodes = new Set([
  "BLOB_UNKNOWN",
  "BLOB_UPLOAD_INVALID",
  "BLOB_UPLOAD_UNKNOWN",
  "DENIED",
  "DIGEST_INVALID",
  "MANIFEST_BLOB_UNKNOWN",
  "MANIFEST_INVALID",
  "MANIFEST_UNKNOWN",
  "MANIFEST_UNVERIFIED",
  "NAME_INVALID",
  "NAME_UNKNOWN",
  "PAGINATION_NUMBER_INVALID",
  "RANGE_INVALID",
  "SIZE_INVALID",
  "TAG_INVALID",
  "TOOMANYREQUESTS",
  "UNAUTHORIZED",
  "UNAVAILABLE",
  "UNKNOWN",
  "UNSUPPORTED",
]);

/** `404 BLOB_UNKNOWN`: the status, and the first error code where it is a known one. */
export function describe(said: Said): string {
  const code = errorCode(said);
  if (code === undefined) return String(said.status);
  // A registry may send anything back, even a login.
  return knownCodes.has(code) ? `${said.status} ${code}` : `${said.status} with a code of its own`;
}

/** The first code of a list of errors (distribution-spec 1.1, "Error Codes"). Not to be shown. */
export function errorCode({ body }: Said): string | undefined {
  try {
    const root: unknown = JSON.parse(body.subarray(0, 8192).toString("utf8"));
    const errors = isRecord(root) ? root["errors"] : undefined;
    const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
    const code = isRecord(first) ? first["code"] : undefined;
    return typeof code === "string" && code !== "" ? code : undefined;
  } catch {
    return undefined;
  }
}

/** Ends the probe with "no" unless the status is one of these. */
export function want(said: Said, ...statuses: readonly number[]): void {
  if (!statuses.includes(said.status)) throw new Unmet("no", describe(said));
}

/** Ends the probe unless a header is there ("partly") and says this ("wrong"). */
export function wantHeader(said: Said, name: string, value: string): void {
  const stated = header(said, name);
  if (stated === undefined) throw new Unmet("partly", `${said.status} without ${titleOf(name)}`);
  if (stated !== value) throw new Unmet("wrong", `${said.status} with another ${titleOf(name)}`);
}

function titleOf(name: string): string {
  const words = name.split("-").map((word) => word.charAt(0).toUpperCase() + word.slice(1));
  return words.join("-").replace(/^Oci/, "OCI");
}
