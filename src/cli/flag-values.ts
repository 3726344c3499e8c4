import { ModelError } from "../core/errors.ts";
import type { ListenAddress } from "../core/listen-address.ts";

/** For flags that may be given several times. */
export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}

/** Parses `key=value` pairs; throws INVALID_ARGUMENT for anything else and for a key given twice. */
export function parseAnnotations(pairs: readonly string[]): Record<string, string> {
  const annotations = new Map<string, string>();
  for (const pair of pairs) {
    const equals = pair.indexOf("=");
    const key = pair.slice(0, Math.max(0, equals)).trim();
    if (key === "")
      throw new ModelError("INVALID_ARGUMENT", `${JSON.stringify(pair)} is no annotation`, {
        hint: "say --annotation key=value, such as --annotation org.opencontainers.image.version=2",
      });
    if (annotations.has(key))
      throw new ModelError("INVALID_ARGUMENT", `annotation ${JSON.stringify(key)} is given twice`);
    annotations.set(key, pair.slice(equals + 1));
  }
  return Object.fromEntries(annotations);
}

/** Parses `HOST:PORT`, an IPv6 host in brackets; throws INVALID_ARGUMENT. */
export function parseListen(text: string): ListenAddress {
  const [, bracketed, plain, digits = ""] =
    /^(?:\[([0-9a-f:.]+)\]|([^:/\s[\]]+)):(\d{1,5})$/i.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host !== undefined && port <= 65_535) return { host, port };
  throw new ModelError("INVALID_ARGUMENT", `${JSON.stringify(text)} is no address to listen on`, {
    hint: "say HOST:PORT, such as 127.0.0.1:5000; 0.0.0.0:5000 for every interface, port 0 for a free one",
  });
}

/** Parses a whole number of seconds, such as `60`; throws INVALID_ARGUMENT. */
export function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (/^\d{1,6}$/.test(text) && seconds > 0) return seconds;
  throw new ModelError("INVALID_ARGUMENT", `${JSON.stringify(text)} is no number of seconds`, {
    hint: "say a whole number above 0, such as 60",
  });
}

const unitMs: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Parses a span of time such as `90s`, `30m`, `24h` or `7d` to milliseconds; throws INVALID_ARGUMENT. */
export function parseDuration(text: string): number {
  const [, digits = "", unit = ""] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const factor = unitMs[unit];
  if (factor !== undefined) return Number(digits) * factor;
  throw new ModelError("INVALID_ARGUMENT", `${JSON.stringify(text)} is no span of time`, {
    hint: "say a whole number and s, m, h or d, such as 90s, 30m, 24h or 7d",
  });
}

/** Timers hold no more. */
const mostDays = 24;

/** Parses a span of time that something waits for, such as `30s`; throws for none, and for over 24 days. */
export function parseWait(text: string): number {
  const waitMs = parseDuration(text);
  if (waitMs > 0 && waitMs <= mostDays * 86_400_000) return waitMs;
  throw new ModelError("INVALID_ARGUMENT", `${JSON.stringify(text)} cannot be waited for`, {
    hint: `say a time from 1s to ${mostDays}d`,
  });
}
