import { randomBytes } from "node:crypto";
import { type ErrorCode, isModelError, ModelError } from "../../core/errors.ts";
import type { OpenedSession } from "../client/registry-repository.ts";
import { createGround, type Ground, makeContent, type Site } from "./ground.ts";
import { createLedger } from "./ledger.ts";
import { isTooLarge, type Plan, planCheck } from "./plan.ts";
import { type Finding, type Need, type Probe, Unmet } from "./probe.ts";
import { probeGroups } from "./probes/all-probes.ts";
import { type Leftovers, retract } from "./retract.ts";
import { readSample } from "./sample.ts";

/** What a registry was found to do, of one behaviour. */
export interface Behaviour extends Finding {
  readonly id: string;
  readonly subject: string;
  readonly title: string;
  readonly needed: Need;
}

export interface CheckReport {
  readonly behaviours: readonly Behaviour[];
  /** What was written and could not be deleted. */
  readonly left: Leftovers;
}

export interface CheckOptions {
  readonly way: OpenedSession;
  /** The way to a second repository of the registry, which layers are mounted from. */
  readonly other?: OpenedSession | undefined;
  /** Tag or digest of a manifest: only reads, with that one. */
  readonly readOnly?: string | undefined;
  /** How long one behaviour may take, in milliseconds. Default 60000. */
  readonly probeMs?: number | undefined;
  /** How long all of them may take, in milliseconds; what is left over is skipped. Default 600000. */
  readonly budgetMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with what will be written, before anything is; what it rejects with ends the check. */
  readonly onPlan?: ((plan: Plan) => void) | undefined;
}

const nothing: Leftovers = { tags: [], manifests: [], blobs: [], uploads: 0, bytes: 0 };

/**
 * Runs all probes on a repository, and takes back what they wrote, also when it is stopped or fails.
 * Rejects where the registry cannot be reached or lets nobody in, and with CANCELLED, which tells
 * what stays.
 */
export async function runCheck(options: CheckOptions): Promise<CheckReport> {
  const { way, other, readOnly, probeMs = 60_000, budgetMs = 600_000 } = options;
  const stop = options.signal ?? new AbortController().signal;
  const site: Site = {
    way,
    other,
    ledger: createLedger(),
    name: `ballast-check-${randomBytes(4).toString("hex")}`,
    absent: makeContent(16).digest,
    blob: undefined,
    manifest: undefined,
    tag: undefined,
  };
  const within = (ms: number) => AbortSignal.any([stop, AbortSignal.timeout(Math.ceil(ms))]);
  const endsAtMs = performance.now() + budgetMs;
  await enter(site, within(probeMs));
  const wanted = probeGroups.flatMap(({ subject, probes }) =>
    probes
      .filter((probe) => readOnly === undefined || probe.writes === undefined)
      .map((probe) => ({ subject, probe })),
  );
  let plan: Plan | undefined;
  if (readOnly === undefined) {
    const probes = wanted.map(({ probe }) => probe);
    plan = await planCheck(site, probes, within(probeMs));
    options.onPlan?.(plan);
  } else await readSample(createGround(site, within(probeMs)), readOnly);

  const choose = (probe: Probe): Promise<Finding> | Finding => {
    const leftMs = endsAtMs - performance.now();
    if (leftMs <= 0) return { result: "skipped", said: "no time was left" };
    if (plan !== undefined && isTooLarge(probe, plan))
      return { result: "skipped", said: "it would stay" };
    return runProbe(probe, createGround(site, within(Math.min(probeMs, leftMs))));
  };
  const behaviours: Behaviour[] = [];
  let left = nothing;
  try {
    for (const { subject, probe } of wanted) {
      if (stop.aborted) break;
      const { id, title, needed } = probe;
      behaviours.push({ id, subject, title, needed, ...(await choose(probe)) });
    }
  } finally {
    if (readOnly === undefined) left = await retract(site, AbortSignal.timeout(2 * probeMs));
  }
  if (stop.aborted)
    throw new ModelError("CANCELLED", "the check was stopped", {
      hint: describeLeftovers(left) ?? "what it wrote is deleted again",
    });
  return { behaviours, left };
}

/** What stays, in a sentence; undefined where nothing does. */
function describeLeftovers(left: Leftovers): string | undefined {
  const { tags, manifests, blobs, bytes, uploads } = left;
  const parts = [
    ...(tags.length === 0 ? [] : [`the tags ${tags.join(", ")}`]),
    ...(manifests.length === 0 ? [] : [`${manifests.length} manifests`]),
    ...(blobs.length === 0 ? [] : [`${blobs.length} blobs`]),
    ...(uploads === 0 ? [] : [`${uploads} upload sessions`]),
  ];
  if (parts.length === 0) return undefined;
  return `could not be deleted and stay: ${parts.join(", ")}; ${bytes} bytes in all`;
}

/** Asks for something small, so that a registry that cannot be used at all is an error and no table. */
async function enter(site: Site, signal: AbortSignal): Promise<void> {
  try {
    await createGround(site, signal).ask({ method: "GET", at: "tags/list?n=1" });
  } catch (error) {
    if (error === signal.reason && isTimeout(error)) throw silent(site);
    throw error;
  }
}

async function runProbe(probe: Probe, ground: Ground): Promise<Finding> {
  try {
    return await probe.run(ground);
  } catch (error) {
    if (error instanceof Unmet) return error.finding;
    if (ground.signal.aborted) return { result: "no", said: "no answer in time" };
    if (!isModelError(error)) throw error;
    return { result: "no", said: failureWords[error.code] ?? error.code };
  }
}

/** Own words: an error's message may hold what the registry sent. */
const failureWords: Partial<Record<ErrorCode, string>> = {
  UNAUTHORIZED: "401 with every login",
  FORBIDDEN: "leads where it may not be followed",
  REGISTRY_UNAVAILABLE: "the connection broke, or no answer came",
  REGISTRY_PROTOCOL: "an answer that cannot be followed",
};

function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}

function silent({ way }: Site): ModelError {
  return new ModelError("REGISTRY_UNAVAILABLE", `${way.session.host} did not answer in time`);
}
