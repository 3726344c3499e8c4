import { isModelError, ModelError } from "../core/errors.ts";
import { describeFullDisk } from "../core/full-disk.ts";
import { describeSystemError } from "../core/system-error.ts";

/**
 * What a call rejects with: once its signal is aborted, CANCELLED; for a failure of the local
 * filesystem, NO_SPACE or STORE_IO; else the failure itself. `places` are the folders it writes to.
 */
export function describeFailure(
  error: unknown,
  call: string,
  signal: AbortSignal | undefined,
  places: readonly string[] = [],
): unknown {
  // What closing failed with after that is of the same cause, or of no interest beside it.
  if (error instanceof SuppressedError)
    return describeFailure(error.suppressed, call, signal, places);
  const isOther = isModelError(error) && error.code !== "CANCELLED";
  if (signal?.aborted !== true || (isOther && error !== signal.reason))
    return nameFullDisk(describeSystemError(error, places), places);
  return new ModelError("CANCELLED", `the ${call} was stopped`, {
    hint: "nothing half done is visible: the same call goes on where this one stopped",
    cause: error,
  });
}

/** A write on a thread knows no path: then it is one of `places` that is full. */
function nameFullDisk(error: unknown, places: readonly string[]): unknown {
  if (!isModelError(error, "NO_SPACE") || places.some((place) => error.message.includes(place)))
    return error;
  if (places.length === 0) return error;
  const full = describeFullDisk(places) ?? places.join(" or ");
  return new ModelError("NO_SPACE", `${full}: ${error.message}`, {
    hint: error.hint,
    cause: error,
  });
}
