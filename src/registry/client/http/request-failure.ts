import type { ErrorCode } from "../../../core/errors.ts";
import { ModelError, type ModelErrorOptions, systemCode } from "../../../core/errors.ts";

export interface RequestFailureOptions extends ModelErrorOptions {
  /** Whether the same request may succeed a little later. */
  readonly temporary: boolean;
  /** How long the other side asked to wait, in milliseconds. */
  readonly retryAfterMs?: number | undefined;
}

/** A request that failed, with whether and when this client may send it again. */
export class RequestFailure extends ModelError {
  readonly temporary: boolean;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options: RequestFailureOptions) {
    super(code, message, options);
    this.temporary = options.temporary;
    this.retryAfterMs = options.retryAfterMs;
  }

  /** Also false where the code says true but this failure stays, such as a bad certificate. */
  override get retryable(): boolean {
    return this.temporary;
  }
}

const temporaryReasons = new Map([
  ["ECONNREFUSED", "it refused the connection"],
  ["ECONNRESET", "the connection was reset"],
  ["ECONNABORTED", "the connection was aborted"],
  ["EPIPE", "it closed the connection"],
  ["ETIMEDOUT", "the connection timed out"],
  ["EHOSTUNREACH", "no route to it"],
  ["ENETUNREACH", "no route to its network"],
  ["EAI_AGAIN", "DNS did not answer for its name"],
  ["UND_ERR_SOCKET", "it closed the connection"],
  ["UND_ERR_CONNECT_TIMEOUT", "no connection came about in time"],
  ["UND_ERR_HEADERS_TIMEOUT", "it did not answer in time"],
  ["UND_ERR_BODY_TIMEOUT", "its answer stalled"],
  ["UND_ERR_RES_CONTENT_LENGTH_MISMATCH", "its answer ended early"],
]);

const lostConnection = new Set(["ECONNRESET", "EPIPE", "UND_ERR_SOCKET"]);

/** Tells whether the other side ended the connection under a request. */
export function isLostConnection(error: unknown): boolean {
  return lostConnection.has(systemCode(error) ?? "");
}

const lastingReasons = new Map<string, { why: string; hint?: string }>([
  ["ENOTFOUND", { why: "its name is not known to DNS", hint: "check the host's spelling" }],
  ["CERT_HAS_EXPIRED", { why: "its certificate has expired" }],
  ["CERT_NOT_YET_VALID", { why: "its certificate is not valid yet", hint: "check the clock" }],
  ["ERR_TLS_CERT_ALTNAME_INVALID", { why: "its certificate is for another name" }],
  ["UND_ERR_HEADERS_OVERFLOW", { why: "the head of its answer is too long" }],
  ["UND_ERR_PRX_TLS", { why: "the proxy's certificate is not valid" }],
]);

const untrusted =
  /^(UNABLE_TO_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT|CERT_|INVALID_CA|ERR_TLS_CERT)/;
const notTls = /wrong version number|packet length too long|http request|record layer failure/i;
const proxyHint = "check HTTP_PROXY, HTTPS_PROXY and NO_PROXY";

/**
 * Says what a network error means: `what` could not be had from `host`. A ModelError comes back
 * as it is, and so does anything that is no network error.
 */
export function networkFailure(error: unknown, what: string, host: string): unknown {
  if (error instanceof ModelError || !(error instanceof Error)) return error;
  // undici's parser errors have a code only for some faults.
  const code = systemCode(error) ?? (error.name === "HTTPParserError" ? "HPE_INVALID" : undefined);
  if (code === undefined) return error;
  const fail = (why: string, temporary: boolean, hint?: string) =>
    new RequestFailure("REGISTRY_UNAVAILABLE", `${what}: cannot use ${host}: ${why}`, {
      temporary,
      hint,
      cause: error,
    });
  const temporaryReason = temporaryReasons.get(code);
  if (temporaryReason !== undefined)
    return fail(temporaryReason, true, "check that it runs, its address and port, then try again");
  const lasting = lastingReasons.get(code);
  if (lasting !== undefined) return fail(lasting.why, false, lasting.hint);
  if (untrusted.test(code))
    return fail(
      `its certificate is not trusted (${code})`,
      false,
      "name the CA that signed it with --ca-file, or SSL_CERT_FILE",
    );
  return lessCommonFailure(error, code, fail);
}

function lessCommonFailure(
  error: Error,
  code: string,
  fail: (why: string, temporary: boolean, hint?: string) => ModelError,
): unknown {
  if (code === "UND_ERR_DESTROYED" || code === "UND_ERR_CLOSED")
    return fail("the connection to it was closed by this program", false);
  if (code === "UND_ERR_PRX_CONN") return fail("the proxy closed the connection", true, proxyHint);
  if (code === "UND_ERR_ABORTED" || error.message.includes("(407)"))
    return fail("the proxy did not open a way to it", false, proxyHint);
  if (code.startsWith("HPE_"))
    return fail("its answer is not HTTP", false, "it may speak HTTPS: say --no-plain-http");
  if (notTls.test(error.message))
    return fail("it speaks plain HTTP, not TLS", false, "if that is intended, add --plain-http");
  return fail(code, code.startsWith("ERR_SSL") || code === "EPROTO" ? false : isSystem(code));
}

function isSystem(code: string): boolean {
  return /^E[A-Z]+$/.test(code);
}
