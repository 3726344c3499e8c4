import { createSecureContext } from "node:tls";
import { ModelError } from "../../core/errors.ts";
import type { HttpServer, TlsIdentity } from "./http-server.ts";
import { type WatchedFiles, watchFiles } from "./watched-files.ts";

/** PEM files; followed while the registry runs. */
export interface TlsFiles {
  readonly keyFile: string;
  readonly certFile: string;
  /** Authorities of client certificates, which clients then need. */
  readonly clientAuthorityFile?: string | undefined;
}

/** How often the files are looked at. Nobody connects to a certificate that is over. */
const lookMs = 5_000;

/** Rejects with INVALID_ARGUMENT for files that are no key and its certificate. */
export async function openIdentity(
  tls: TlsIdentity | TlsFiles | undefined,
  onFault: (error: unknown) => void,
): Promise<WatchedFiles<TlsIdentity> | undefined> {
  if (tls === undefined) return undefined;
  if ("key" in tls) return { current: () => Promise.resolve(tls), reload: () => Promise.resolve() };
  const { keyFile, certFile, clientAuthorityFile } = tls;
  const parse = ([key = "", cert = "", clientAuthority]: readonly string[]) => {
    try {
      createSecureContext({ key, cert, ca: clientAuthority });
    } catch (cause) {
      throw new ModelError("INVALID_ARGUMENT", `${certFile} and ${keyFile} are no certificate`, {
        hint: "both are PEM, and the key is that of the first certificate in the file",
        cause,
      });
    }
    return { key, cert, clientAuthority };
  };
  const paths = [keyFile, certFile, clientAuthorityFile ?? []].flat();
  return watchFiles({ paths, parse, onFault });
}

/** Has the server show what the files say, until disposed. Connections that are open stay. */
export function followIdentity(
  identity: WatchedFiles<TlsIdentity>,
  server: Pick<HttpServer, "useIdentity">,
): Disposable {
  let shown: TlsIdentity | undefined;
  const look = async () => {
    const now = await identity.current();
    if (shown !== undefined && now !== shown) server.useIdentity(now);
    shown = now;
  };
  void look();
  const timer = setInterval(() => void look(), lookMs).unref();
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
