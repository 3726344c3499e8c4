import { constants } from "node:os";

/**
 * Every failure a caller can act on, with whether trying the same thing again may help.
 * `docs/errors.md` explains each; `cli/exit-codes.ts` maps them to exit codes.
 */
export const errorCodes = {
  INVALID_ARGUMENT: { retryable: false },
  INVALID_REFERENCE: { retryable: false },
  INVALID_PATH: { retryable: false },
  INVALID_MANIFEST: { retryable: false },
  INVALID_INDEX: { retryable: false },
  UNSUPPORTED_ARTIFACT: { retryable: false },
  NOT_FOUND: { retryable: false },
  UNAUTHORIZED: { retryable: false },
  FORBIDDEN: { retryable: false },
  TAG_EXISTS: { retryable: false },
  REGISTRY_UNAVAILABLE: { retryable: true },
  REGISTRY_LIMIT: { retryable: false },
  REGISTRY_UNSUPPORTED: { retryable: false },
  REGISTRY_PROTOCOL: { retryable: false },
  BLOB_UNKNOWN: { retryable: false },
  RATE_LIMITED: { retryable: true },
  DIGEST_MISMATCH: { retryable: true },
  SOURCE_CHANGED: { retryable: false },
  SOURCE_UNREADABLE: { retryable: false },
  SOURCE_UNSUPPORTED: { retryable: false },
  SOURCE_EMPTY: { retryable: false },
  NO_SPACE: { retryable: false },
  OUTPUT_EXISTS: { retryable: false },
  STORE_LOCKED: { retryable: true },
  STORE_VERSION: { retryable: false },
  STORE_IO: { retryable: false },
  MODEL_IN_USE: { retryable: false },
  VERIFY_FAILED: { retryable: false },
  AGENT_UNAVAILABLE: { retryable: true },
  AGENT_FAILED: { retryable: false },
  LEASE_EXISTS: { retryable: false },
  MOUNT_FAILED: { retryable: true },
  CLUSTER_UNAVAILABLE: { retryable: true },
  CLUSTER_REFUSED: { retryable: false },
  CANCELLED: { retryable: false },
} as const;

export type ErrorCode = keyof typeof errorCodes;

export interface ModelErrorOptions {
  /** The next step for the person who reads the message. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/**
 * The one error Ballast throws on purpose. The message names the thing, the side (source or
 * target) and the host, never a credential or a query string; `hint` says what to do next.
 */
export class ModelError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: ModelErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "ModelError";
    this.code = code;
    this.hint = options.hint;
  }

  get retryable(): boolean {
    return errorCodes[this.code].retryable;
  }
}

/** Tells whether `error` is a ModelError with one of `codes` (any code if none is given). */
export function isModelError(error: unknown, ...codes: ErrorCode[]): error is ModelError {
  return error instanceof ModelError && (codes.length === 0 || codes.includes(error.code));
}

/** Names by number of what Linux says and libuv, hence Node, has no name for. */
const unnamed = new Map<number, string>([
  ...Object.entries(constants.errno).map(([name, number]) => [-number, name] as const),
  [-117, "EUCLEAN"],
]);

/** The `code` of a Node system error (`ENOENT`, `ENOSPC`, ...), if `error` is one. */
export function systemCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !("code" in error)) return undefined;
  if (typeof error.code !== "string") return undefined;
  const errno: unknown = Reflect.get(error, "errno");
  if (typeof errno !== "number" || !/^(?:UNKNOWN|Unknown system error .*)$/.test(error.code))
    return error.code;
  return unnamed.get(errno) ?? `E${-errno}`;
}
