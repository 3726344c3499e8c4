import { randomBytes } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { type ContentDigest, contentDigestOf, type DigestAlgorithm } from "../../core/digest.ts";
import type { Scope } from "../client/auth/scope.ts";
import { header } from "../client/http/answer.ts";
import { parseRetryAfter } from "../client/http/retry.ts";
import type { WireRequest } from "../client/http/wire.ts";
import type { OpenedSession } from "../client/registry-repository.ts";
import type { Ledger } from "./ledger.ts";
import { Unmet } from "./probe.ts";
import { hear, type Said } from "./said.ts";

/** Bytes and their digest. */
export interface Content {
  readonly bytes: Buffer;
  readonly digest: ContentDigest;
}

export interface ManifestContent extends Content {
  readonly mediaType: string;
}

/** Where a check takes place: what all of its probes share. */
export interface Site {
  readonly way: OpenedSession;
  /** The way to the repository that layers are mounted from. */
  readonly other: OpenedSession | undefined;
  readonly ledger: Ledger;
  /** What all tags of this check begin with. */
  readonly name: string;
  /** No manifest has it: its fallback tag is known before anything is written. */
  readonly absent: ContentDigest;
  /** A blob that is there, once one is. */
  blob: Content | undefined;
  /** A manifest that names this blob, once one is there. */
  manifest: ManifestContent | undefined;
  /** A tag of this manifest. */
  tag: string | undefined;
}

export interface Question extends Pick<WireRequest, "method" | "headers"> {
  /** A path below the repository, or a URL that the registry gave. */
  readonly at: string | URL;
  readonly body?: Buffer | (() => AsyncIterable<Uint8Array>) | undefined;
  /** Default true. */
  readonly follow?: boolean | undefined;
  /** Default `here`. */
  readonly where?: "here" | "other" | undefined;
  /** Default: what the repository needs. */
  readonly scopes?: readonly Scope[] | undefined;
}

/** What one probe works with: the site, and questions that end with the probe's time. */
export interface Ground {
  readonly site: Site;
  readonly signal: AbortSignal;
  /** Sends a request; any status resolves. Rejects when nobody is let in or nothing answers. */
  ask(question: Question): Promise<Said>;
  /** The blob that is there; ends the probe where none could be pushed or read. */
  wantBlob(): Content;
  /** The manifest that is there; likewise. */
  wantManifest(): ManifestContent;
}

/** More than any body that a check waits for. */
const maxBodyBytes = 8_388_608;
/** How often a request is sent again that the registry wants later, and how long it waits for that. */
const maxWaits = 3;
const unaskedMs = 2000;
const mostMs = 60_000;
/** How long a write that was sent may still go on after the end: what became of it should be known. */
const lingerMs = 3000;

export function createGround(site: Site, signal: AbortSignal): Ground {
  return {
    site,
    signal,
    ask: (question) => ask(site, question, signal),
    wantBlob: () => site.blob ?? notThere("no blob is there"),
    wantManifest: () => site.manifest ?? notThere("no manifest is there"),
  };
}

/** Random bytes: nobody else's content has their digest. */
export function makeContent(size: number, algorithm: DigestAlgorithm = "sha256"): Content {
  return contentOf(randomBytes(size), algorithm);
}

export function contentOf(bytes: Buffer, algorithm: DigestAlgorithm = "sha256"): Content {
  return { bytes, digest: contentDigestOf(bytes, algorithm) };
}

function notThere(why: string): never {
  throw new Unmet("skipped", why);
}

async function ask(site: Site, question: Question, signal: AbortSignal): Promise<Said> {
  const { method, at, headers, body, follow, where = "here", scopes } = question;
  const way = where === "here" ? site.way : site.other;
  if (way === undefined) throw new Error("there is no other repository");
  const { session } = way;
  const what = `${method} to ${session.host}/${session.repository}`;
  signal.throwIfAborted();
  const url = typeof at === "string" ? session.url(at) : at;
  const reads = method === "GET" || method === "HEAD";
  using lingering = linger(signal, reads ? 0 : lingerMs);
  const call = {
    method,
    url,
    headers: { "accept-encoding": "identity", ...lengthOf(body, reads), ...headers },
    body: typeof body === "function" || body === undefined ? body : () => body,
    headersMs: session.commitMs,
    scopes,
    signal: lingering.signal,
    what,
  };
  for (let waits = 0; ; waits += 1) {
    const answer = await session.exchange(call, { follow: follow ?? true });
    const said = await hear(answer, what, method === "HEAD" ? 0 : maxBodyBytes);
    if (said.status !== 429 || waits === maxWaits) return said;
    const askedMs = parseRetryAfter(header(said, "retry-after"), Date.now());
    await pause(Math.min(askedMs ?? unaskedMs, mostMs), signal);
  }
}

/** Waits before a request that came too early is sent again; ends the probe with its time. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await setTimeout(ms, undefined, { signal });
  } catch {
    throw new Unmet("no", "429: wants fewer requests");
  }
}

function lengthOf(body: Question["body"], reads: boolean): Record<string, string> {
  if (reads || typeof body === "function") return {};
  return { "content-length": String(body?.byteLength ?? 0) };
}

/** A signal that follows another some time later. */
function linger(signal: AbortSignal, ms: number): Disposable & { readonly signal: AbortSignal } {
  if (ms === 0) return { signal, [Symbol.dispose]: () => undefined };
  const later = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const follow = () => {
    timer = globalThis.setTimeout(() => later.abort(signal.reason), ms);
  };
  signal.addEventListener("abort", follow, { once: true });
  return {
    signal: later.signal,
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", follow);
    },
  };
}
