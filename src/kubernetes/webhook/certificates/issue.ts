import { createHash, randomBytes, webcrypto } from "node:crypto";
import { isIP } from "node:net";
import type * as X509 from "@peculiar/x509";
import { loadX509 } from "./certificate-library.ts";

/** A certificate and the key of it, as PEM. */
export interface KeyedCertificate {
  readonly certificate: string;
  readonly key: string;
}

/** When a certificate is made, and for how long it holds. */
export interface Validity {
  readonly now: Date;
  readonly lifeMs: number;
}

const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
/** Clocks of others may be behind. */
const earlierMs = 3_600_000;

/** Makes an authority of its own. */
export async function createAuthority({ now, lifeMs }: Validity): Promise<KeyedCertificate> {
  const x509 = await loadX509();
  const keys = await generateKeys();
  // No two authorities have one name: verifiers look them up by it.
  const name = `CN=ballast-webhook-ca-${randomBytes(6).toString("hex")}`;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name,
    keys,
    signingAlgorithm: algorithm,
    notBefore: new Date(now.getTime() - earlierMs),
    notAfter: new Date(now.getTime() + lifeMs),
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: pem(certificate), key: await exportKey(x509, keys.privateKey) };
}

/** Makes a certificate for a server of these names (DNS names or addresses); it ends with its authority. */
export async function issueServing(
  authority: KeyedCertificate,
  { names, now, lifeMs }: Validity & { readonly names: readonly string[] },
): Promise<KeyedCertificate> {
  const x509 = await loadX509();
  const issuer = new x509.X509Certificate(authority.certificate);
  const keys = await generateKeys();
  const end = Math.min(now.getTime() + lifeMs, issuer.notAfter.getTime());
  const certificate = await x509.X509CertificateGenerator.create({
    subject: `CN=${subjectOf(names)}`,
    issuer: issuer.subject,
    publicKey: keys.publicKey,
    signingKey: await importKey(x509, authority.key),
    signingAlgorithm: algorithm,
    notBefore: new Date(now.getTime() - earlierMs),
    notAfter: new Date(end),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? "dns" : "ip", value })),
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return { certificate: pem(certificate), key: await exportKey(x509, keys.privateKey) };
}

/** At most 64 characters, which is what X.520 allows; verifiers read the other names. */
function subjectOf([first = ""]: readonly string[]): string {
  return first.length <= 64 && /^[A-Za-z0-9.-]+$/.test(first)
    ? first
    : createHash("sha256").update(first).digest("hex").slice(0, 32);
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
}

async function exportKey(x509: typeof X509, key: webcrypto.CryptoKey): Promise<string> {
  const bytes = await webcrypto.subtle.exportKey("pkcs8", key);
  return `${x509.PemConverter.encode(bytes, "PRIVATE KEY")}\n`;
}

async function importKey(x509: typeof X509, text: string): Promise<webcrypto.CryptoKey> {
  const [bytes = new ArrayBuffer(0)] = x509.PemConverter.decode(text);
  return webcrypto.subtle.importKey("pkcs8", bytes, algorithm, false, ["sign"]);
}

function pem(certificate: X509.X509Certificate): string {
  return `${certificate.toString("pem")}\n`;
}
