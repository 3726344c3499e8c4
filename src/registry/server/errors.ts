import { type ErrorCode, isModelError, type ModelError, systemCode } from "../../core/errors.ts";
import { MissingBlobs } from "../../oci/layout/missing-blobs.ts";

/** The error codes of distribution-spec 1.1, "Error Codes", and UNKNOWN for what is our own fault. */
type ProtocolCode =
  | "BLOB_UNKNOWN"
  | "BLOB_UPLOAD_INVALID"
  | "BLOB_UPLOAD_UNKNOWN"
  | "DENIED"
  | "DIGEST_INVALID"
  | "MANIFEST_BLOB_UNKNOWN"
  | "MANIFEST_INVALID"
  | "MANIFEST_UNKNOWN"
  | "NAME_INVALID"
  | "NAME_UNKNOWN"
  | "SIZE_INVALID"
  | "UNAUTHORIZED"
  | "UNSUPPORTED"
  | "TOOMANYREQUESTS"
  | "UNKNOWN";

/** One element of the `errors` list in a response. */
export interface ProtocolFault {
  readonly code: ProtocolCode;
  readonly message: string;
  readonly detail?: unknown;
}

/** An answer with a failure status; it ends a request and never leaves this folder. */
export class ProtocolError extends Error {
  readonly status: number;
  readonly faults: readonly ProtocolFault[];
  readonly headers: Readonly<Record<string, string | string[]>>;

  constructor(
    status: number,
    faults: ProtocolFault | readonly ProtocolFault[],
    headers: Readonly<Record<string, string | string[]>> = {},
  ) {
    const list = "code" in faults ? [faults] : faults;
    super(list[0]?.message ?? "failed");
    this.name = "ProtocolError";
    this.status = status;
    this.faults = list;
    this.headers = headers;
  }
}

/**
 * What to answer for anything that a route throws. Failures of the registry itself say nothing
 * about its disk; they reach its operator through the access log.
 */
export function toProtocolError(error: unknown): ProtocolError {
  if (error instanceof ProtocolError) return error;
  if (error instanceof MissingBlobs) return blobsMissing(error);
  if (!isModelError(error)) return new ProtocolError(...internalFailure);
  if (systemCode(error.cause) === "EROFS") return new ProtocolError(...readOnly);
  return new ProtocolError(...(answers[error.code]?.(error.message) ?? internalFailure));
}

type Answer = ConstructorParameters<typeof ProtocolError>;

/** What distribution answers in its read-only mode. */
const readOnly: Answer = [405, { code: "UNSUPPORTED", message: "the registry is read-only" }];

const internalFailure: Answer = [500, { code: "UNKNOWN", message: "the registry failed" }];

const answers: Partial<Record<ErrorCode, (message: string) => Answer>> = {
  DIGEST_MISMATCH: (message) => [400, { code: "DIGEST_INVALID", message }],
  INVALID_MANIFEST: (message) => [400, { code: "MANIFEST_INVALID", message }],
  NOT_FOUND: () => [404, { code: "NAME_UNKNOWN", message: "no such repository" }],
  NO_SPACE: () => [507, { code: "UNKNOWN", message: "the registry's disk is full" }],
  REGISTRY_LIMIT: (message) => [507, { code: "UNKNOWN", message }],
  REGISTRY_UNSUPPORTED: (message) => [
    405,
    { code: "UNSUPPORTED", message },
    { Allow: "GET, HEAD" },
  ],
  STORE_LOCKED: () => [
    503,
    { code: "TOOMANYREQUESTS", message: "the repository is busy" },
    { "Retry-After": "5" },
  ],
};

/** Every missing blob is one element, so that a client can upload them all at once. */
function blobsMissing(error: MissingBlobs & ModelError): ProtocolError {
  const faults = error.missing.slice(0, 1000).map((digest) => ({
    code: "MANIFEST_BLOB_UNKNOWN" as const,
    message: `blob ${digest} is not in the repository`,
    detail: { digest },
  }));
  return new ProtocolError(404, faults);
}
