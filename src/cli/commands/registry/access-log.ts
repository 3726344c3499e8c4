import type { RegistryOptions } from "../../../registry/server/server.ts";

type AccessRecord = Parameters<NonNullable<RegistryOptions["onRequest"]>>[0];

export type AccessLogFormat = "text" | "json" | "off";

/** One line of the access log; undefined for what it leaves out. No query, no credential is in it. */
export function formatAccess(
  record: AccessRecord,
  format: AccessLogFormat,
  time: Date = new Date(),
): string | undefined {
  if (format === "off" || isGoodProbe(record)) return undefined;
  const { error, durationMs, ...rest } = record;
  const failure = error instanceof Error ? error.message.split("\n")[0] : undefined;
  const ms = Math.round(durationMs);
  if (format === "json")
    return JSON.stringify({ time: time.toISOString(), ...rest, durationMs: ms, error: failure });
  const { remoteAddress = "-", user = "-", method, path, status, bytesIn, bytesOut } = rest;
  const what = `${method} ${path} ${status} ${bytesIn} ${bytesOut} ${ms} ms ${rest.requestId}`;
  const why = failure === undefined ? "" : ` ${failure}`;
  return `${time.toISOString()} ${remoteAddress} ${user} ${what}${why}`;
}

/** They come every few seconds. */
function isGoodProbe({ path, status }: AccessRecord): boolean {
  return status === 200 && /^\/(?:healthz|readyz(?:\/read)?)$/.test(path);
}
