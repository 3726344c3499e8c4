import { once } from "node:events";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import type { ListenAddress } from "../core/listen-address.ts";
import type { MetricsText } from "./role-metrics.ts";

export interface RoleServerOptions {
  readonly listen: ListenAddress;
  /** Why the role does not do its work now; undefined while it does. */
  readonly whyNotReady: () => string | undefined;
  readonly metrics: () => Promise<MetricsText>;
}

/** Disposing it closes its connections. */
export interface RoleServer extends AsyncDisposable {
  readonly port: number;
}

/** Serves `/healthz`, `/readyz` and `/metrics` of a role, over plain HTTP. Rejects where it cannot listen. */
export async function serveRole({
  listen,
  whyNotReady,
  metrics,
}: RoleServerOptions): Promise<RoleServer> {
  const answer: RequestListener = (request, response) => {
    const say = (status: number, type: string, text: string) => {
      const bytes = Buffer.from(text);
      response.writeHead(status, { "content-type": type, "content-length": bytes.byteLength });
      response.end(request.method === "HEAD" ? undefined : bytes);
    };
    const path = request.url?.split("?")[0];
    if (request.method !== "GET" && request.method !== "HEAD")
      say(405, "text/plain", "only read\n");
    else if (path === "/healthz") say(200, "text/plain", "ok\n");
    else if (path === "/readyz") {
      const why = whyNotReady();
      say(why === undefined ? 200 : 503, "text/plain", `${why ?? "ready"}\n`);
    } else if (path === "/metrics")
      metrics().then(
        ({ type, text }) => say(200, type, text),
        (error: unknown) => say(503, "text/plain", `${String(error)}\n`),
      );
    else say(404, "text/plain", "there is /healthz, /readyz and /metrics\n");
  };
  const server = createServer(answer);
  server.listen(listen.port, listen.host);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
