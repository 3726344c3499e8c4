import { Counter, Gauge, Histogram, type OpenMetricsContentType, Registry } from "prom-client";
import type { AccessRecord } from "../conversation.ts";

/** What a registry counts, as OpenMetrics; docs/registry.md lists the names. */
export interface RegistryMetrics {
  count(record: AccessRecord): void;
  describe(): Promise<{ readonly type: string; readonly text: string }>;
}

const buckets = [0.005, 0.02, 0.1, 0.5, 2, 10, 60, 600];
const methods = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"];

/** What is asked for, by the end of a path. Paths themselves are without number. */
const operations: readonly (readonly [RegExp, string])[] = [
  [/^\/v2\/?$/, "base"],
  [/\/blobs\/uploads(?:\/[^/]*)?$/, "upload"],
  [/\/blobs\/[^/]+$/, "blob"],
  [/\/manifests\/[^/]+$/, "manifest"],
  [/\/tags\/list$/, "tags"],
  [/\/referrers\/[^/]+$/, "referrers"],
];

/** Creates metrics that start at zero; `freeBytes` is asked whenever they are read. */
export function createRegistryMetrics(means: {
  readonly freeBytes: () => Promise<number>;
  readonly connections: () => Promise<number>;
}): RegistryMetrics {
  const registry = new Registry<OpenMetricsContentType>();
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  const registers = [registry];
  const requests = new Counter({
    name: "ballast_registry_requests",
    help: "Requests that were answered, or that the client gave up (499) or was cut in (408)",
    labelNames: ["operation", "method", "status"],
    registers,
  });
  const seconds = new Histogram({
    name: "ballast_registry_request_seconds",
    help: "From the head of a request to the end of its answer",
    labelNames: ["operation"],
    buckets,
    registers,
  });
  const bytes = new Counter({
    name: "ballast_registry_bytes",
    help: "Bytes of requests (in) and answers (out), heads included",
    labelNames: ["direction"],
    registers,
  });
  const connections = new Gauge({
    name: "ballast_registry_connections",
    help: "Connections that are open",
    registers,
  });
  const freeBytes = new Gauge({
    name: "ballast_registry_free_bytes",
    help: "Free bytes of the filesystem of the registry's folder",
    registers,
  });
  return {
    count: ({ method, path, status, durationMs, bytesIn, bytesOut }) => {
      const operation = operationOf(path);
      const known = methods.includes(method) ? method : "other";
      requests.inc({ operation, method: known, status });
      seconds.observe({ operation }, durationMs / 1000);
      bytes.inc({ direction: "in" }, bytesIn);
      bytes.inc({ direction: "out" }, bytesOut);
    },
    describe: async () => {
      freeBytes.set(await means.freeBytes().catch(() => 0));
      connections.set(await means.connections());
      return { type: registry.contentType, text: await registry.metrics() };
    },
  };
}

function operationOf(path: string): string {
  return operations.find(([pattern]) => pattern.test(path))?.[1] ?? "other";
}
