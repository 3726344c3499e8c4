import type { ErrorCode } from "../core/errors.ts";
import type { StopSignal } from "./stop-signals.ts";

/** What the exit codes mean; docs/cli.md says the same. */
export const exitCodes = {
  ok: 0,
  other: 1,
  usage: 2,
  notFound: 3,
  denied: 4,
  unreachable: 5,
  wrongContent: 6,
  local: 7,
  source: 8,
  refused: 9,
  unexpected: 70,
  interrupted: 130,
  terminated: 143,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** The exit code of each error code. */
export const errorExitCodes: Readonly<Record<ErrorCode, ExitCode>> = {
  INVALID_ARGUMENT: exitCodes.usage,
  INVALID_REFERENCE: exitCodes.usage,
  NOT_FOUND: exitCodes.notFound,
  UNAUTHORIZED: exitCodes.denied,
  FORBIDDEN: exitCodes.denied,
  REGISTRY_UNAVAILABLE: exitCodes.unreachable,
  RATE_LIMITED: exitCodes.unreachable,
  INVALID_PATH: exitCodes.wrongContent,
  INVALID_MANIFEST: exitCodes.wrongContent,
  INVALID_INDEX: exitCodes.wrongContent,
  UNSUPPORTED_ARTIFACT: exitCodes.wrongContent,
  DIGEST_MISMATCH: exitCodes.wrongContent,
  VERIFY_FAILED: exitCodes.wrongContent,
  NO_SPACE: exitCodes.local,
  OUTPUT_EXISTS: exitCodes.local,
  STORE_LOCKED: exitCodes.local,
  STORE_VERSION: exitCodes.local,
  STORE_IO: exitCodes.local,
  MODEL_IN_USE: exitCodes.local,
  SOURCE_CHANGED: exitCodes.source,
  SOURCE_UNREADABLE: exitCodes.source,
  SOURCE_UNSUPPORTED: exitCodes.source,
  SOURCE_EMPTY: exitCodes.source,
  TAG_EXISTS: exitCodes.refused,
  REGISTRY_LIMIT: exitCodes.refused,
  REGISTRY_UNSUPPORTED: exitCodes.refused,
  REGISTRY_PROTOCOL: exitCodes.refused,
  BLOB_UNKNOWN: exitCodes.refused,
  AGENT_UNAVAILABLE: exitCodes.unreachable,
  AGENT_FAILED: exitCodes.unexpected,
  LEASE_EXISTS: exitCodes.refused,
  MOUNT_FAILED: exitCodes.local,
  CLUSTER_UNAVAILABLE: exitCodes.unreachable,
  CLUSTER_REFUSED: exitCodes.refused,
  CANCELLED: exitCodes.other,
};

/** 128 and the signal's number, as shells count. */
export const signalExitCodes: Readonly<Record<StopSignal, ExitCode>> = {
  SIGINT: exitCodes.interrupted,
  SIGTERM: exitCodes.terminated,
};
