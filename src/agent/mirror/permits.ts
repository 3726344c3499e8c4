import { type Digest, digestOf } from "../../core/digest.ts";
import { isModelError, ModelError } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import { type RegistryReference, repositoryName } from "../../core/reference.ts";
import { unlessAborted } from "../../core/unless-aborted.ts";
import type { Audit, Decision } from "../access/audit.ts";
import type { PeerCaller, Upstream } from "./upstream.ts";

/** Says who may see what: nobody who could not pull it from its registry, whether it is here or not. */
export interface Permits {
  /**
   * The digest that a reference with tag or digest names, if this caller may pull it. Rejects as its
   * registry answers: UNAUTHORIZED (with its challenge), FORBIDDEN, NOT_FOUND, REGISTRY_UNAVAILABLE.
   */
  forManifest(reference: RegistryReference, asking: Asking): Promise<Digest>;
  /** Resolves if this caller may pull a blob of that repository. Rejects like `forManifest`. */
  forBlob(reference: RegistryReference, blob: Digest, asking: Asking): Promise<void>;
}

interface Asking extends Abortable {
  readonly caller: PeerCaller;
}

export interface PermitOptions {
  readonly upstream: Upstream;
  readonly audit: Audit;
  /** How long a yes to a digest counts, in milliseconds. */
  readonly lifeMs: number;
  /** Ends the questions that are under way. */
  readonly signal: AbortSignal;
}

/** Those given last are kept; a lost one costs a request. */
const mostPermits = 10_000;

/**
 * Asks registries, and keeps each yes to a digest in memory for the very same Authorization header;
 * never a no, and no yes for longer when a registry is down. Who asks the same at once shares an answer.
 */
export function createPermits({ upstream, audit, lifeMs, signal }: PermitOptions): Permits {
  /** When each was given, oldest first. */
  const given = new Map<string, number>();
  const running = new Map<string, Promise<Digest>>();

  function give(question: Question): void {
    const key = keyOf(question);
    given.delete(key);
    given.set(key, performance.now());
    const [oldest] = given.size > mostPermits ? given.keys() : [];
    if (oldest !== undefined) given.delete(oldest);
  }

  function isGiven(question: Question): boolean {
    const since = given.get(keyOf(question));
    return since !== undefined && performance.now() - since < lifeMs;
  }

  async function ask(
    { repository, version, caller }: Question,
    work: () => Promise<Digest>,
  ): Promise<Digest> {
    const subject = { namespace: "peer", pod: caller.address, uid: "" };
    const tell = (decision: Pick<Decision, "digest" | "verdict" | "why">) =>
      audit({ subject, repository, version, ...decision });
    try {
      const digest = await work();
      // Not for a tag: it may have moved by the next time.
      give({ repository, version: digest, caller });
      tell({ digest, verdict: "allowed", why: "registry" });
      return digest;
    } catch (error) {
      const isNo = isModelError(error, "UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND");
      const why = isModelError(error) ? error.code : "AGENT_FAILED";
      tell({ digest: undefined, verdict: isNo ? "denied" : "unknown", why });
      throw error;
    }
  }

  /** A question that is under way outlives the caller who began it: others may wait for it. */
  function askOnce(question: Question, work: () => Promise<Digest>): Promise<Digest> {
    const key = keyOf(question);
    const known = running.get(key);
    if (known !== undefined) return known;
    const asked = ask(question, work).finally(() => running.delete(key));
    running.set(key, asked);
    return asked;
  }

  return {
    forManifest: async (reference, { caller, signal: gone }) => {
      const version = reference.digest ?? reference.tag ?? "latest";
      const question = { repository: repositoryName(reference), version, caller };
      if (reference.digest !== undefined && isGiven(question)) return reference.digest;
      const asked = askOnce(question, async () => {
        const digest = await upstream.resolve(reference, { caller, signal });
        if (digest !== undefined) return digest;
        throw new ModelError("NOT_FOUND", `${question.repository} has no ${version}`);
      });
      return unlessAborted(asked, gone);
    },

    forBlob: async (reference, blob, { caller, signal: gone }) => {
      const question = { repository: repositoryName(reference), version: blob, caller };
      if (isGiven(question)) return;
      const asked = askOnce(question, async () => {
        if (await upstream.hasBlob(reference, blob, { caller, signal })) return blob;
        throw new ModelError("NOT_FOUND", `${question.repository} has no ${blob}`);
      });
      await unlessAborted(asked, gone);
    },
  };
}

interface Question {
  readonly repository: string;
  readonly version: string;
  readonly caller: PeerCaller;
}

/** A hash: the header itself is not kept. */
function keyOf({ repository, version, caller }: Question): string {
  return digestOf(JSON.stringify([repository, version, caller.authorization ?? null]));
}
