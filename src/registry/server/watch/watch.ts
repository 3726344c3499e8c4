import type { ListenAddress } from "../../../core/listen-address.ts";
import type { DiskWatermark } from "../bounds/disk-watermark.ts";
import type { AccessRecord, Answerer } from "../conversation.ts";
import { ProtocolError } from "../errors.ts";
import { answerBytes } from "../exchange.ts";
import { type HttpServer, startHttpServer } from "../http-server.ts";
import type { Health } from "./health.ts";
import type { RegistryMetrics } from "./metrics.ts";

/** Metrics and health of a registry, on an address of their own. */
export interface Watch extends AsyncDisposable {
  readonly url: string;
  count(record: AccessRecord): void;
  /** Names the server whose connections are counted. */
  follow(server: HttpServer): void;
}

/** Serves `/metrics` and health without a login. Rejects with STORE_IO when it cannot listen. */
export async function startWatch(
  listen: ListenAddress,
  means: { readonly health: Health; readonly watermark: DiskWatermark },
): Promise<Watch> {
  // 30 ms and 18 MB to load.
  const { createRegistryMetrics } = await import("./metrics.ts");
  let followed: HttpServer | undefined;
  const metrics = createRegistryMetrics({
    freeBytes: () => means.watermark.free(),
    connections: async () => (await followed?.countConnections()) ?? 0,
  });
  const answer = answerWatchers(means.health, metrics);
  const server = await startHttpServer(answer, { listen, limits: { maxConnections: 100 } });
  return {
    url: server.url,
    count: (record) => metrics.count(record),
    follow: (registry) => void (followed = registry),
    [Symbol.asyncDispose]: () => server.close(),
  };
}

function answerWatchers(health: Health, metrics: RegistryMetrics): Answerer {
  return async ({ response, method, path }) => {
    if (method !== "GET" && method !== "HEAD")
      throw new ProtocolError(405, { code: "UNSUPPORTED", message: "this is only read" });
    if (await health.answer({ response, path })) return;
    if (path !== "/metrics")
      throw new ProtocolError(404, { code: "UNSUPPORTED", message: "no such endpoint" });
    const { type, text } = await metrics.describe();
    answerBytes({ response }, Buffer.from(text), { "Content-Type": type });
  };
}
