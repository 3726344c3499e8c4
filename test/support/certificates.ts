import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A key and the certificate for it, as PEM. */
export interface KeyPair {
  readonly key: string;
  readonly certificate: string;
  readonly keyFile: string;
  readonly certificateFile: string;
}

/** A private authority and a server certificate from it. */
export interface Certificates {
  /** PEM of the authority, for clients to trust. */
  readonly authority: string;
  readonly authorityFile: string;
  readonly server: KeyPair;
}

/** Makes, in `folder`, an authority and its certificate for 127.0.0.1, ::1 and localhost. */
export async function makeCertificates(folder: string): Promise<Certificates> {
  const authority = await makeSelfSigned(folder, "authority");
  const keyFile = join(folder, "server.key");
  const requestFile = join(folder, "server.csr");
  const certificateFile = join(folder, "server.pem");
  const extensionsFile = join(folder, "server.ext");
  await writeFile(extensionsFile, "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost\n");
  await openssl("req", ...newKey(keyFile), "-subj", "/CN=localhost", "-out", requestFile);
  const signer = ["-CA", authority.certificateFile, "-CAkey", authority.keyFile];
  const files = ["-in", requestFile, "-extfile", extensionsFile, "-out", certificateFile];
  await openssl("x509", "-req", "-days", "2", "-CAcreateserial", ...signer, ...files);
  return {
    authority: authority.certificate,
    authorityFile: authority.certificateFile,
    server: await readPair(keyFile, certificateFile),
  };
}

/**
 * Makes, in `folder`, a self-signed EC P-256 certificate that may sign others. It is for no host,
 * or for those in `names` (`DNS:registry.example.com`).
 */
export async function makeSelfSigned(
  folder: string,
  name: string,
  names: readonly string[] = [],
): Promise<KeyPair> {
  const keyFile = join(folder, `${name}.key`);
  const certificateFile = join(folder, `${name}.pem`);
  const hosts = names.length === 0 ? [] : ["-addext", `subjectAltName=${names.join(",")}`];
  const subject = ["-days", "2", "-subj", `/CN=ballast test ${name}`, ...hosts];
  await openssl("req", "-x509", ...newKey(keyFile), ...subject, "-out", certificateFile);
  return readPair(keyFile, certificateFile);
}

function newKey(keyFile: string): string[] {
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
  return [...curve, "-nodes", "-keyout", keyFile];
}

async function readPair(keyFile: string, certificateFile: string): Promise<KeyPair> {
  const [key, certificate] = await Promise.all([
    readFile(keyFile, "utf8"),
    readFile(certificateFile, "utf8"),
  ]);
  return { key, certificate, keyFile, certificateFile };
}

async function openssl(...args: string[]): Promise<void> {
  await run("openssl", args);
}
