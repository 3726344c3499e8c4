import { createServer, request as send } from "node:http";
import { type AddressInfo, connect } from "node:net";

/** An HTTP proxy that brings every request, whatever its host, to one server. */
export interface ForwardProxy extends AsyncDisposable {
  readonly url: string;
  /** `GET http://host/path` or `CONNECT host:port`, as they came. */
  readonly seen: readonly string[];
  /** Proxy-Authorization of each. */
  readonly authorizations: readonly (string | undefined)[];
  /** Refuses everything with this status when set. */
  refuseWith: number | undefined;
}

/** Starts the proxy on 127.0.0.1; all it is asked for goes to `target` (`127.0.0.1:port`). */
export async function startForwardProxy(target: string): Promise<ForwardProxy> {
  const [hostname = "", port = ""] = target.split(":");
  const seen: string[] = [];
  const authorizations: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    authorizations.push(request.headers["proxy-authorization"]);
    if (proxy.refuseWith !== undefined) return void response.writeHead(proxy.refuseWith).end();
    const { pathname, search } = new URL(request.url ?? "");
    const onward = { host: hostname, port, method: request.method, path: pathname + search };
    const forwarded = send({ ...onward, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.on("error", () => response.destroy()).pipe(response);
    });
    forwarded.on("error", () => response.destroy());
    request.pipe(forwarded);
  });
  server.on("connect", (request, client) => {
    seen.push(`CONNECT ${request.url}`);
    authorizations.push(request.headers["proxy-authorization"]);
    if (proxy.refuseWith !== undefined)
      return void client.end(`HTTP/1.1 ${proxy.refuseWith} No\r\ncontent-length: 0\r\n\r\n`);
    const onward = connect(Number(port), hostname, () => {
      client.write("HTTP/1.1 200 OK\r\n\r\n");
      onward.pipe(client).pipe(onward);
    });
    onward.on("error", () => client.destroy());
    client.on("error", () => onward.destroy());
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject).listen(0, "127.0.0.1", resolve);
  await promise;
  const proxy: ForwardProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    authorizations,
    refuseWith: undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
  return proxy;
}
