import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { createRpcClient } from "./rpc/client.ts";
import { identityService } from "./rpc/services.ts";
import { bindUnderName, type SocketName } from "./rpc/unix-socket.ts";

/** Where liveness is asked for. */
export type HealthAddress =
  | { readonly kind: "unix"; readonly path: string }
  | { readonly kind: "tcp"; readonly host: string | undefined; readonly port: number };

export interface HealthServer extends AsyncDisposable {
  /** The TCP port that was taken; undefined on a unix socket. */
  readonly port: number | undefined;
}

/** A kubelet's probe waits a second unless it is told otherwise. */
const probeMs = 900;

/**
 * Serves `GET /healthz`: 200 while the CSI socket answers a Probe, 503 otherwise. It asks through the
 * socket's name, as the kubelet does, so that a lost socket counts as well as a stuck process.
 */
export async function serveHealth(
  address: HealthAddress,
  endpointPath: string,
): Promise<HealthServer> {
  const server = createServer((request, response) => {
    const answer = (code: number, text: string) =>
      response.writeHead(code, { "content-type": "text/plain" }).end(`${text}\n`);
    if (request.url !== "/healthz") return void answer(404, "ask for /healthz");
    probe(endpointPath).then(
      () => answer(200, "ok"),
      () => answer(503, "the CSI socket does not answer"),
    );
  });
  const name = await listen(server, address);
  const bound = server.address();
  return {
    port: typeof bound === "object" ? bound?.port : undefined,
    async [Symbol.asyncDispose]() {
      await name?.remove();
      server.closeAllConnections();
      const closed = once(server, "close");
      server.close();
      await closed;
    },
  };
}

async function probe(endpointPath: string): Promise<void> {
  using client = createRpcClient(identityService, endpointPath);
  await client.call("Probe", {}, { timeoutMs: probeMs });
}

async function listen(server: Server, address: HealthAddress): Promise<SocketName | undefined> {
  const listening = once(server, "listening");
  if (address.kind === "tcp") {
    server.listen(address.port, address.host);
    await listening;
    return undefined;
  }
  return bindUnderName(address.path, async (path) => {
    server.listen(path);
    await listening;
  });
}
