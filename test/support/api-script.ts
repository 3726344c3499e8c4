import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type ClusterApi, createClusterApi } from "../../src/kubernetes/api/cluster-api.ts";
import { type Certificates, makeCertificates } from "./certificates.ts";
import { closeServer } from "./close-server.ts";
import { makeTemporaryFolder } from "./models.ts";

/** Answers the n-th request (from 1). */
export type ApiAnswer = (
  request: IncomingMessage,
  response: ServerResponse,
  count: number,
) => void | Promise<void>;

/** An API server whose every byte a test decides, over TLS. */
export interface ApiScript extends AsyncDisposable {
  readonly api: ClusterApi;
  readonly kubeconfig: string;
  readonly tokenFile: string;
  /** When each request came (`performance.now()`), and what was asked. */
  readonly requests: { readonly at: number; readonly line: string; readonly token: string }[];
  /** TLS handshakes so far. */
  handshakes(): number;
  /** Cuts all connections. */
  cut(): void;
}

export interface ApiScriptOptions {
  /** Default: its own authority. */
  readonly trusted?: string | undefined;
}

/** Starts it on loopback; it answers as told. */
export async function startApiScript(
  answer: ApiAnswer,
  { trusted }: ApiScriptOptions = {},
): Promise<ApiScript> {
  await using started = new AsyncDisposableStack();
  const folder = started.use(await makeTemporaryFolder());
  const certificates: Certificates = await makeCertificates(folder.path);
  const requests: ApiScript["requests"] = [];
  let handshakes = 0;
  const listener: RequestListener = (request, response) => {
    const { method, url, headers } = request;
    const token = headers.authorization ?? "";
    requests.push({ at: performance.now(), line: `${method} ${url}`, token });
    void answer(request, response, requests.length);
  };
  const { key, certificate: cert } = certificates.server;
  const server = createHttpsServer({ key, cert }, listener);
  server.on("secureConnection", () => {
    handshakes++;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  started.defer(() => closeServer(server));
  const { port } = server.address() as AddressInfo;
  const [kubeconfig, tokenFile] = [join(folder.path, "config"), join(folder.path, "token")];
  await writeFile(tokenFile, "token-1");
  const authority = trusted ?? (await readFile(certificates.authorityFile, "utf8"));
  const cluster = {
    server: `https://127.0.0.1:${port}`,
    "certificate-authority-data": Buffer.from(authority).toString("base64"),
  };
  const user = { "auth-provider": { name: "file", config: { tokenFile } } };
  const config = {
    clusters: [{ name: "script", cluster }],
    users: [{ name: "user", user }],
    contexts: [
      { name: "script", context: { cluster: "script", user: "user", namespace: "a" } },
      { name: "other", context: { cluster: "script", user: "user", namespace: "b" } },
    ],
    "current-context": "script",
  };
  await writeFile(kubeconfig, JSON.stringify(config));
  const api = started.use(createClusterApi({ kubeconfig, userAgent: "ballast-test" }));
  const owned = started.move();
  return {
    api,
    kubeconfig,
    tokenFile,
    requests,
    handshakes: () => handshakes,
    cut: () => server.closeAllConnections(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Says a document, as API servers do. */
export function sayJson(response: ServerResponse, status: number, document: unknown): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(document));
}
