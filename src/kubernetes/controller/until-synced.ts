import type { Followed } from "../api/collection.ts";
import type { ApiObject } from "../api/objects.ts";

/** Resolves to whether all of these have been listed; false once aborted. */
export async function untilSynced(
  collections: readonly Followed<ApiObject>[],
  signal: AbortSignal,
): Promise<boolean> {
  const { promise: aborted, resolve } = Promise.withResolvers<void>();
  const stop = () => resolve();
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  await Promise.race([Promise.all(collections.map(({ synced }) => synced)), aborted]);
  signal.removeEventListener("abort", stop);
  return !signal.aborted;
}
