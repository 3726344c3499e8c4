import { isModelError, ModelError } from "../core/errors.ts";
import { describeSystemError } from "../core/system-error.ts";

/**
 * What a call rejects with: once its signal is aborted, CANCELLED; for a failure of the local
 * filesystem, NO_SPACE or STORE_IO; else the failure itself.
 */
export function describeFailure(
  error: unknown,
  call: string,
  signal: AbortSignal | undefined,
): unknown {
  const isOther = isModelError(error) && error.code !== "CANCELLED";
  if (signal?.aborted !== true || (isOther && error !== signal.reason))
    return describeSystemError(error);
  return new ModelError("CANCELLED", `the ${call} was stopped`, {
    hint: "nothing half done is visible: the same call goes on where this one stopped",
    cause: error,
  });
}
