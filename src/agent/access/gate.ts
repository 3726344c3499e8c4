import type { Digest } from "../../core/digest.ts";
import { isModelError } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import { type RegistryReference, repositoryName } from "../../core/reference.ts";
import { checkAccess } from "../../model/access.ts";
import type { ConnectionOptions } from "../../model/connection.ts";
import type { Subject, WireCredential } from "../api/documents.ts";
import type { Audit, Decision } from "./audit.ts";
import type { Asker, Verdict, Verdicts } from "./verdicts.ts";

/** Somebody who wants to read a model. */
interface Request extends Abortable {
  readonly reference: RegistryReference;
  /** What the reference named when they first asked; undefined the first time. */
  readonly digest?: Digest | undefined;
  readonly subject: Subject | undefined;
  readonly credential: WireCredential | undefined;
}

export interface GateOptions {
  readonly verdicts: Verdicts;
  readonly audit: Audit;
  /** How the registry is reached for somebody. */
  readonly connectionFor: (request: Request) => ConnectionOptions;
  /** Read at each request, so that a new configuration counts at once. */
  readonly limits: () => { readonly verdictSeconds: number; readonly graceSeconds: number };
}

/** Decides who may read what: nobody who could not pull it, whether it is here or not. */
export interface Gate {
  /**
   * Resolves with the digest that they may read. Rejects as the registry answers (UNAUTHORIZED,
   * FORBIDDEN, NOT_FOUND); with REGISTRY_UNAVAILABLE or RATE_LIMITED when it does not and no yes to
   * the same credential is young enough. Each decision is audited.
   */
  admit(request: Request): Promise<Digest>;
}

/** Opens the gate; every answer of a registry is kept in `verdicts`. */
export function createGate({ verdicts, audit, connectionFor, limits }: GateOptions): Gate {
  async function ask(request: Request, { asker, version }: Question): Promise<Digest> {
    const { reference, digest: known, signal } = request;
    const { digest } = await checkAccess(reference, known, { ...connectionFor(request), signal });
    const verdict = { digest, askedAt: Date.now() };
    for (const each of new Set([version, digest])) await verdicts.keep(asker, each, verdict);
    return digest;
  }

  /** What was said before, where that counts without a question. A tag may have moved since. */
  async function findFresh({ asker, version }: Question): Promise<Digest | undefined> {
    const known = await verdicts.find(asker, version);
    if (known?.digest !== version) return undefined;
    return isYounger(known, limits().verdictSeconds) ? known.digest : undefined;
  }

  /** What counts of what was said before, when nobody answers now. */
  async function recall({ asker, version }: Question): Promise<Digest | undefined> {
    const { verdictSeconds, graceSeconds } = limits();
    const last = await verdicts.find(asker, version);
    const counts = last !== undefined && isYounger(last, verdictSeconds + graceSeconds);
    return counts && graceSeconds > 0 ? last.digest : undefined;
  }

  return {
    admit: async (request) => {
      const question = questionOf(request);
      const { asker, version } = question;
      const tell = (decision: Pick<Decision, "digest" | "verdict" | "why">) =>
        audit({ subject: request.subject, repository: asker.repository, version, ...decision });
      const allow = (digest: Digest, why: string) => {
        tell({ digest, verdict: "allowed", why });
        return digest;
      };
      const fresh = await findFresh(question);
      if (fresh !== undefined) return allow(fresh, "cached");
      try {
        return allow(await ask(request, question), "registry");
      } catch (error) {
        const recalled = isNoAnswer(error) ? await recall(question) : undefined;
        if (recalled !== undefined) return allow(recalled, "grace");
        const isNo = isModelError(error, "UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND");
        if (isNo) await verdicts.drop(asker);
        const why = isModelError(error) ? error.code : "AGENT_FAILED";
        tell({ digest: undefined, verdict: isNo ? "denied" : "unknown", why });
        throw error;
      }
    },
  };
}

interface Question {
  readonly asker: Asker;
  readonly version: string;
}

function questionOf({ reference, digest, subject, credential }: Request): Question {
  const version = digest ?? reference.digest ?? reference.tag ?? "latest";
  const namespace = subject?.namespace ?? "";
  return { asker: { namespace, repository: repositoryName(reference), credential }, version };
}

function isYounger({ askedAt }: Verdict, seconds: number): boolean {
  const age = Date.now() - askedAt;
  return age >= 0 && age < seconds * 1000;
}

function isNoAnswer(error: unknown): boolean {
  return isModelError(error, "REGISTRY_UNAVAILABLE", "RATE_LIMITED");
}
