import { checkCount } from "../core/count.ts";
import type { Digest } from "../core/digest.ts";
import { ModelError } from "../core/errors.ts";
import { type Reference, repositoryName } from "../core/reference.ts";
import { type CallOptions, connect } from "./connection.ts";
import { describeFailure } from "./failure.ts";
import { defaultTag, modelDigest } from "./resolve.ts";

export interface AccessOptions extends CallOptions {
  /** How long it may take in all, in milliseconds. Default 10000. */
  readonly budgetMs?: number | undefined;
}

/** Somebody waits: few tries, short waits, so that most failures are told before the budget ends. */
const retry = { attempts: 3, baseDelayMs: 500, maxDelayMs: 1000, maxRetryAfterMs: 2000 };

/**
 * Asks the registry whether these credentials may read a model (one HEAD of its manifest) and resolves
 * to the digest that it has there. With `digest` that one is asked for, whatever the reference names.
 * Rejects with UNAUTHORIZED, FORBIDDEN or NOT_FOUND as the registry says, also where it says another
 * of them than it means, and with REGISTRY_UNAVAILABLE when it does not answer in time.
 */
export async function checkAccess(
  reference: Reference,
  digest: Digest | undefined,
  options: AccessOptions = {},
): Promise<{ readonly digest: Digest }> {
  const { budgetMs = 10_000, signal: stop } = options;
  const budget = AbortSignal.timeout(checkCount("budgetMs", budgetMs));
  const signal = stop === undefined ? budget : AbortSignal.any([stop, budget]);
  const wanted = digest ?? reference.digest ?? reference.tag ?? defaultTag;
  const name = repositoryName(reference);
  try {
    await using connection = await connect(reference, { ...options, retry, signal });
    const found = await connection.repository.resolveManifest(wanted, { signal });
    if (found !== undefined) return { digest: modelDigest(found, name) };
  } catch (error) {
    if (!budget.aborted || error !== budget.reason)
      throw describeFailure(error, "check of access", stop);
    throw new ModelError(
      "REGISTRY_UNAVAILABLE",
      `${name}: no answer within ${budgetMs} ms to whether it may be read`,
      { hint: "the registry is down or slow, or asks for longer waits than that" },
    );
  }
  throw new ModelError("NOT_FOUND", `${name} has no manifest ${wanted}`, {
    hint: "check the reference, and the credentials: registries also say so of what they hide",
  });
}
