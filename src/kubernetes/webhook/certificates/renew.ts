import { createAuthority, issueServing } from "./issue.ts";
import { judgeKept, type KeptCertificate, trustedAuthorities } from "./kept-certificate.ts";

/** How long certificates hold, in milliseconds. */
export interface Lives {
  readonly authorityMs: number;
  readonly servingMs: number;
}

export interface RenewOptions {
  readonly now: Date;
  /** That the server is called by. */
  readonly names: readonly string[];
  readonly lives: Lives;
}

const dayMs = 86_400_000;

/** What holds in a cluster. */
export const defaultLives: Lives = { authorityMs: 365 * dayMs, servingMs: 90 * dayMs };

/**
 * What is to be kept instead; undefined while what is there will do. An authority that is replaced is
 * trusted until it ends: servers that have not heard of it go on.
 */
export async function renew(
  kept: KeptCertificate | undefined,
  { now, names, lives }: RenewOptions,
): Promise<KeptCertificate | undefined> {
  const verdict = kept === undefined ? "renew all" : judgeKept(kept, { now, names });
  if (verdict === "good") return undefined;
  const authority =
    kept !== undefined && verdict === "renew serving"
      ? kept.authority
      : await createAuthority({ now, lifeMs: lives.authorityMs });
  const serving = await issueServing(authority, { names, now, lifeMs: lives.servingMs });
  const before = kept === undefined ? [] : [kept.authority.certificate, ...kept.trusted];
  const trusted = trustedAuthorities({ authority, serving, trusted: before }, now);
  return { authority, serving, trusted };
}
