import { createHmac, createPrivateKey, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import type { KeyedCertificate } from "./issue.ts";

/** What a Secret keeps for all replicas. */
export interface KeptCertificate {
  readonly authority: KeyedCertificate;
  readonly serving: KeyedCertificate;
  /** The authority and those before it that have not ended, as PEM. */
  readonly trusted: readonly string[];
}

/** What has to be done to a kept certificate. */
export type Verdict = "good" | "renew serving" | "renew all";

type SecretData = Readonly<Record<string, string>>;

/** Reads the data of the Secret (base64). Undefined for what is not there, or not one that works. */
export function parseKept(data: SecretData | undefined): KeptCertificate | undefined {
  const text = (key: string) => Buffer.from(data?.[key] ?? "", "base64").toString("utf8");
  const authority = { certificate: text("ca.crt"), key: text("ca.key") };
  const serving = { certificate: text("tls.crt"), key: text("tls.key") };
  try {
    const issuer = new X509Certificate(authority.certificate);
    const served = new X509Certificate(serving.certificate);
    const belongs =
      issuer.checkPrivateKey(createPrivateKey(authority.key)) &&
      served.checkPrivateKey(createPrivateKey(serving.key)) &&
      served.checkIssued(issuer) &&
      served.verify(issuer.publicKey);
    const trusted = splitPem(text("ca-bundle.crt"));
    return belongs ? { authority, serving, trusted } : undefined;
  } catch {
    return undefined;
  }
}

/** The other way around. */
export function formatKept({ authority, serving, trusted }: KeptCertificate): SecretData {
  const texts = {
    "ca.crt": authority.certificate,
    "ca.key": authority.key,
    "ca-bundle.crt": trusted.join(""),
    "tls.crt": serving.certificate,
    "tls.key": serving.key,
  };
  return Object.fromEntries(
    Object.entries(texts).map(([key, text]) => [key, Buffer.from(text).toString("base64")]),
  );
}

/**
 * Where reviews are taken, so that only API servers can ask: who calls it must have read it in the
 * webhook's configuration. It lasts as long as the authority, and is the same for all replicas.
 */
export function reviewPath({ authority }: KeptCertificate): string {
  const secret = createHmac("sha256", authority.key).update("path of reviews").digest("hex");
  return `/pods/${secret.slice(0, 32)}`;
}

/** Certificates are made anew at two thirds of their life, and at once for a name that they lack. */
export function judgeKept(
  { authority, serving }: KeptCertificate,
  { now, names }: { readonly now: Date; readonly names: readonly string[] },
): Verdict {
  if (isDue(authority, now)) return "renew all";
  const served = new X509Certificate(serving.certificate);
  const isFor = (name: string) =>
    (isIP(name) === 0 ? served.checkHost(name) : served.checkIP(name)) !== undefined;
  return isDue(serving, now) || !names.every(isFor) ? "renew serving" : "good";
}

/** The authorities that an API server is to trust: this one, and those before it that have not ended. */
export function trustedAuthorities({ authority, trusted }: KeptCertificate, now: Date): string[] {
  const all = [authority.certificate, ...trusted].filter((each) => !hasEnded(each, now));
  const byPrint = new Map(all.map((each) => [new X509Certificate(each).fingerprint256, each]));
  return [...byPrint.values()].map(normalize);
}

/** When a certificate ends. */
export function endOf({ certificate }: KeyedCertificate): Date {
  return new X509Certificate(certificate).validToDate;
}

function isDue({ certificate }: KeyedCertificate, now: Date): boolean {
  const { validFromDate, validToDate } = new X509Certificate(certificate);
  const [from, to] = [validFromDate.getTime(), validToDate.getTime()];
  // One that is not valid yet was made by a clock that is ahead.
  return now.getTime() < from || now.getTime() >= from + ((to - from) * 2) / 3;
}

function hasEnded(certificate: string, now: Date): boolean {
  return new X509Certificate(certificate).validToDate <= now;
}

/** Leaves out what is no certificate. */
function splitPem(text: string): string[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.flatMap((block) => {
    try {
      return [normalize(block)];
    } catch {
      return [];
    }
  });
}

function normalize(certificate: string): string {
  return `${new X509Certificate(certificate).toString().trimEnd()}\n`;
}
