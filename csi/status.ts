import { status } from "@grpc/grpc-js";
import { type ErrorCode, isModelError } from "../src/core/errors.ts";
import type { RpcStatus } from "./rpc/server.ts";

/**
 * The gRPC code of each error code; docs/csi.md says the same. What may help to be tried again is never
 * a code that a kubelet takes for the last word (`isFinal`).
 */
export const statusOfErrors: Readonly<Record<ErrorCode, status>> = {
  INVALID_ARGUMENT: status.INVALID_ARGUMENT,
  INVALID_REFERENCE: status.INVALID_ARGUMENT,
  INVALID_PATH: status.FAILED_PRECONDITION,
  INVALID_MANIFEST: status.FAILED_PRECONDITION,
  INVALID_INDEX: status.FAILED_PRECONDITION,
  UNSUPPORTED_ARTIFACT: status.FAILED_PRECONDITION,
  NOT_FOUND: status.NOT_FOUND,
  UNAUTHORIZED: status.UNAUTHENTICATED,
  FORBIDDEN: status.PERMISSION_DENIED,
  TAG_EXISTS: status.INTERNAL,
  REGISTRY_UNAVAILABLE: status.UNAVAILABLE,
  REGISTRY_LIMIT: status.FAILED_PRECONDITION,
  REGISTRY_UNSUPPORTED: status.FAILED_PRECONDITION,
  REGISTRY_PROTOCOL: status.FAILED_PRECONDITION,
  BLOB_UNKNOWN: status.FAILED_PRECONDITION,
  RATE_LIMITED: status.UNAVAILABLE,
  DIGEST_MISMATCH: status.UNAVAILABLE,
  SOURCE_CHANGED: status.INTERNAL,
  SOURCE_UNREADABLE: status.INTERNAL,
  SOURCE_UNSUPPORTED: status.INTERNAL,
  SOURCE_EMPTY: status.INTERNAL,
  NO_SPACE: status.RESOURCE_EXHAUSTED,
  OUTPUT_EXISTS: status.INTERNAL,
  STORE_LOCKED: status.UNAVAILABLE,
  STORE_VERSION: status.FAILED_PRECONDITION,
  STORE_IO: status.INTERNAL,
  MODEL_IN_USE: status.FAILED_PRECONDITION,
  VERIFY_FAILED: status.DATA_LOSS,
  AGENT_UNAVAILABLE: status.UNAVAILABLE,
  AGENT_FAILED: status.INTERNAL,
  LEASE_EXISTS: status.ALREADY_EXISTS,
  MOUNT_FAILED: status.UNAVAILABLE,
  CLUSTER_UNAVAILABLE: status.UNAVAILABLE,
  CLUSTER_REFUSED: status.INTERNAL,
  CANCELLED: status.UNAVAILABLE,
};

/** After these a kubelet calls unpublish later; after any other it holds the volume for not mounted. */
const openCodes: ReadonlySet<status> = new Set([
  status.CANCELLED,
  status.DEADLINE_EXCEEDED,
  status.UNAVAILABLE,
  status.RESOURCE_EXHAUSTED,
  status.ABORTED,
]);

/** An answer that is no fault of anything: the volume is not there yet, or there is another. */
export class StatusError extends Error {
  readonly code: status;

  constructor(code: status, message: string) {
    super(message);
    this.name = "StatusError";
    this.code = code;
  }
}

/** Tells whether a kubelet takes an answer with this code for the last word on a volume. */
export function isFinal(code: status): boolean {
  return !openCodes.has(code);
}

/** The most text of one answer: it becomes an Event, which holds 1024 characters with what stands before. */
const maxDetails = 800;

/**
 * How an error is told to the caller: `CODE: message; hint` of a ModelError. Of what is no ModelError,
 * a defect, only the name, for its text may hold anything.
 */
export function describeStatus(error: unknown): RpcStatus {
  if (error instanceof StatusError) return { code: error.code, details: plain(error.message) };
  if (!isModelError(error)) {
    const name = error instanceof Error ? error.name : typeof error;
    return { code: status.INTERNAL, details: `unexpected ${name}; see the plugin's log` };
  }
  const hint = error.hint === undefined ? "" : `; ${error.hint}`;
  const details = plain(`${error.code}: ${error.message}${hint}`);
  return { code: statusOfErrors[error.code], details };
}

/** One line without what could steer a terminal. */
function plain(text: string): string {
  const line = text.replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]+/gu, " ");
  return line.length <= maxDetails ? line : `${line.slice(0, maxDetails - 3)}...`;
}
