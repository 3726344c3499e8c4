import type { RegistryProfile } from "../../profiles.ts";
import { type Answer, header } from "./answer.ts";
import type { PacerOptions, RequestKind, WaitReason } from "./pacer.ts";
import { parseRetryAfter, type RetryOptions } from "./retry.ts";
import { sharedPacer } from "./shared-pacers.ts";

/** What holding requests back has cost one repository; live. */
export interface PaceReport {
  /** How long its requests waited, in milliseconds, all of them together. */
  readonly waitedMs: number;
  /** Why any of them waited, a sentence each. */
  readonly reasons: readonly string[];
}

/** Holds the requests of one repository back, each by the server that it goes to. */
export interface Pace extends PaceReport {
  /** Resolves when the request may be sent. Rejects with the signal's reason. */
  turn(request: PacedRequest): Promise<void>;
  /** Learns from an answer. */
  heard(answer: Answer): void;
}

interface PacedRequest {
  readonly method: string;
  readonly url: URL;
  /** Default: GET and HEAD `read`, others `write`. */
  readonly counts?: RequestKind | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface PaceOptions {
  readonly origin: URL;
  readonly profile: RegistryProfile | undefined;
  readonly retry: RetryOptions;
  /** Told of each reason once. */
  readonly onReason?: ((reason: string) => void) | undefined;
  /** In what time a profile counts requests, in milliseconds. Default: a minute. */
  readonly windowMs?: number | undefined;
}

/** A wait that nobody would notice is not worth a word (1 s). */
const notableMs = 1000;

/** Paces requests to the registry as its profile says, and those to any server as it asks with 429. */
export function createPace({ origin, profile, retry, onReason, windowMs }: PaceOptions): Pace {
  const rates = { reads: profile?.readsPerMinute?.value, writes: profile?.writesPerMinute?.value };
  const holds = { mostHoldMs: retry.maxRetryAfterMs, leastHoldMs: retry.baseDelayMs };
  const reasons = new Map<string, string>();
  let waitedMs = 0;

  const pacerOf = (url: URL) => {
    const isRegistry = url.origin === origin.origin;
    const options: PacerOptions = isRegistry ? { ...holds, rates, windowMs } : holds;
    return sharedPacer(isRegistry ? `${url.origin} ${profile?.name}` : url.origin, options);
  };

  function explain(reason: WaitReason, url: URL, ms: number): void {
    waitedMs += ms;
    const key = reason === "refused" ? url.host : reason;
    if (ms < notableMs || reasons.has(key)) return;
    const text = sentence(reason, url, ms);
    reasons.set(key, text);
    onReason?.(text);
  }

  function sentence(reason: WaitReason, url: URL, ms: number): string {
    if (reason === "refused")
      return `${url.host} asks for fewer requests: waiting ${Math.ceil(ms / 1000)} s`;
    const fact = reason === "read" ? profile?.readsPerMinute : profile?.writesPerMinute;
    return `paced to ${fact?.value} ${reason}s a minute for ${url.host} (profile ${profile?.name}: ${fact?.source}, ${fact?.date})`;
  }

  return {
    get waitedMs() {
      return Math.round(waitedMs);
    },
    get reasons() {
      return [...reasons.values()];
    },
    turn(request) {
      const { url, signal } = request;
      const onWait = (reason: WaitReason, ms: number) => explain(reason, url, ms);
      return pacerOf(url).turn(kindOf(request), { signal, onWait });
    },
    heard(answer) {
      const pacer = pacerOf(answer.url);
      if (answer.status !== 429) return pacer.accepted();
      pacer.refused(parseRetryAfter(header(answer, "retry-after"), Date.now()));
    },
  };
}

function kindOf({ method, counts }: PacedRequest): RequestKind {
  return counts ?? (method === "GET" || method === "HEAD" ? "read" : "write");
}
