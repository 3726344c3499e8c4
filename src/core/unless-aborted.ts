/** Settles like `work`, or rejects with the signal's reason when it aborts first. */
export async function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  if (signal === undefined) return work;
  const { promise, reject } = Promise.withResolvers<never>();
  const stop = () => reject(signal.reason as unknown);
  signal.addEventListener("abort", stop, { once: true });
  // The call that made `work` may itself have aborted, before anybody listened.
  if (signal.aborted) stop();
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
