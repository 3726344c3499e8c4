import { isModelError } from "../../core/errors.ts";
import { Challenged } from "../../registry/client/auth/forwarded.ts";
import { RequestFailure } from "../../registry/client/http/request-failure.ts";
import { ProtocolError } from "../../registry/server/errors.ts";
import type { Asked } from "./asked.ts";

/**
 * What a caller hears when their registry gave no permit. It depends on what they asked for and on what
 * the registry said, never on what is here: not even the message may tell. Any other error comes back
 * as it is.
 */
export function toRefusal(error: unknown, asked: Pick<Asked, "host" | "kind">): unknown {
  const { host } = asked;
  if (isModelError(error, "UNAUTHORIZED")) {
    const challenges = error instanceof Challenged ? [...error.challenges] : [];
    const headers = challenges.length === 0 ? {} : { "WWW-Authenticate": challenges };
    return new ProtocolError(
      401,
      { code: "UNAUTHORIZED", message: `${host} asks for credentials` },
      headers,
    );
  }
  if (isModelError(error, "FORBIDDEN"))
    return new ProtocolError(403, {
      code: "DENIED",
      message: `${host} does not let these credentials pull this`,
    });
  if (isModelError(error, "NOT_FOUND")) return notHere(asked);
  if (isModelError(error, "RATE_LIMITED"))
    return new ProtocolError(
      429,
      { code: "TOOMANYREQUESTS", message: `${host} wants fewer requests` },
      { "Retry-After": String(retryAfterSeconds(error)) },
    );
  if (isModelError(error, "REGISTRY_UNAVAILABLE"))
    return new ProtocolError(
      503,
      { code: "UNKNOWN", message: `${host} cannot be asked who may pull this` },
      { "Retry-After": "10" },
    );
  if (isModelError(error, "REGISTRY_PROTOCOL", "INVALID_MANIFEST", "DIGEST_MISMATCH"))
    return new ProtocolError(502, {
      code: "UNKNOWN",
      message: `${host} gave no sound answer about who may pull this`,
    });
  if (isModelError(error, "AGENT_UNAVAILABLE", "CANCELLED"))
    return new ProtocolError(503, { code: "UNKNOWN", message: "the mirror is stopping" });
  return error;
}

/** What is not here, and what is here no more for this caller. */
export function notHere({ kind }: Pick<Asked, "kind">): ProtocolError {
  return kind === "manifests"
    ? new ProtocolError(404, {
        code: "MANIFEST_UNKNOWN",
        message: "the mirror has no such manifest",
      })
    : new ProtocolError(404, { code: "BLOB_UNKNOWN", message: "the mirror has no such blob" });
}

function retryAfterSeconds(error: unknown): number {
  const ms = error instanceof RequestFailure ? error.retryAfterMs : undefined;
  return Math.ceil((ms ?? 10_000) / 1000);
}
