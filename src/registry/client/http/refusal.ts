import { type Digest, isDigest } from "../../../core/digest.ts";
import { type ErrorCode, ModelError } from "../../../core/errors.ts";
import { type Answer, header, type RegistryError, readRegistryErrors } from "./answer.ts";
import { RequestFailure } from "./request-failure.ts";
import { parseRetryAfter } from "./retry.ts";

export interface RefusalContext {
  /** What was asked for: `blob sha256:… of registry.example.com/team/model`. */
  readonly what: string;
  /** The hint for a 404 of something that might be private, where nothing was sent as credentials. */
  readonly anonymousHint?: string | undefined;
  /** Whether a manifest was put, so that an unknown blob is one it names. */
  readonly namesBlobs?: boolean | undefined;
  /** What was to be taken away, if anything: registries may offer that or not. */
  readonly removes?: Removed | undefined;
}

export type Removed = "tag" | "manifest";

const temporaryStatuses = new Set([408, 429, 500, 502, 503, 504]);

/** Turns an answer that is no success into the error it means. Consumes the body. */
export async function refusal(answer: Answer, context: RefusalContext): Promise<ModelError> {
  const errors = await readRegistryErrors(answer);
  const message = `${context.what}: ${answer.url.host} answered ${answer.status}${explain(errors)}`;
  if (temporaryStatuses.has(answer.status))
    return new RequestFailure(
      answer.status === 429 ? "RATE_LIMITED" : "REGISTRY_UNAVAILABLE",
      message,
      { temporary: true, retryAfterMs: parseRetryAfter(header(answer, "retry-after"), Date.now()) },
    );
  const missing = context.namesBlobs === true ? missingBlob(errors) : undefined;
  if (missing !== undefined && (answer.status === 400 || answer.status === 404))
    return new ModelError("BLOB_UNKNOWN", `${message}${missing === "" ? "" : ` (${missing})`}`);
  if (context.removes !== undefined && isUnsupported(answer.status, errors))
    return new ModelError("REGISTRY_UNSUPPORTED", message, { hint: removalHint(context.removes) });
  const code = refusalCode(answer.status, errors);
  const hint = code === "NOT_FOUND" ? context.anonymousHint : statusHint(answer);
  return new ModelError(code, message, { hint });
}

/** Whether a removal was refused as such. One that takes digests only finds a tag to be none. */
function isUnsupported(status: number, errors: readonly RegistryError[]): boolean {
  if (status === 405 || status === 501) return true;
  const says = (wanted: string) => errors.some(({ code }) => code === wanted);
  return says("UNSUPPORTED") || (status === 400 && says("DIGEST_INVALID"));
}

/** What to do where a registry takes nothing away. */
export function removalHint(removed: Removed): string {
  return removed === "tag"
    ? "removing tags may be switched off there, or be for its own program; the manifest was left alone"
    : "removing may be switched off there, or be for its own program";
}

/** The digest of the blob a registry misses, "" when it did not say which, undefined when none is. */
function missingBlob(errors: readonly RegistryError[]): Digest | "" | undefined {
  const error = errors.find(({ code }) => /^(MANIFEST_)?BLOB_UNKNOWN$/.test(code));
  if (error === undefined) return undefined;
  const digest = /sha256:[0-9a-f]{64}/.exec(`${error.detail} ${error.message}`)?.[0];
  return isDigest(digest) ? digest : "";
}

function refusalCode(status: number, errors: readonly RegistryError[]): ErrorCode {
  const codes = new Set(errors.map(({ code }) => code));
  if (codes.has("DIGEST_INVALID")) return "DIGEST_MISMATCH";
  if (codes.has("TOOMANYREQUESTS") && status === 403) return "RATE_LIMITED";
  if (status === 401) return "UNAUTHORIZED";
  if (status === 403) return "FORBIDDEN";
  if (status === 404 || status === 410) return "NOT_FOUND";
  if (status === 413 || status === 507 || codes.has("SIZE_INVALID")) return "REGISTRY_LIMIT";
  return status > 500 ? "REGISTRY_UNAVAILABLE" : "REGISTRY_PROTOCOL";
}

function explain(errors: readonly RegistryError[]): string {
  const [first] = errors;
  if (first === undefined) return "";
  return ` ${first.code}${first.message === "" ? "" : `: ${first.message}`}`;
}

function statusHint({ status, url }: Answer): string | undefined {
  if (status === 507)
    return `free space on the disk of ${url.host}, then push again: layers that are there are kept`;
  if (status === 405) return `${url.host} takes no writes: name a registry that does`;
  if (status === 400 && url.protocol === "http:")
    return `if ${url.host} speaks HTTPS, say --no-plain-http`;
  return undefined;
}
