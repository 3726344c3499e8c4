import { Counter, Gauge, Histogram, type OpenMetricsContentType, Registry } from "prom-client";
import { isModelError } from "../core/errors.ts";
import type { Audit } from "./access/audit.ts";
import type { ReadyModel } from "./api/documents.ts";
import type { Status } from "./status.ts";

/** What an agent counts, as OpenMetrics; docs/operations.md lists the names. */
export interface Metrics {
  /** Passes decisions on and counts them. */
  countDecisions(audit: Audit): Audit;
  countEvictions(models: number): void;
  /** Counts files that rotted on disk. */
  countRotten(files: number): void;
  /** Times the bringing of a model and counts how it ended. Settles as `work` does. */
  timeDelivery(work: () => Promise<ReadyModel>): Promise<ReadyModel>;
  /** The text of all, with what the store holds now. */
  describe(status: Status): Promise<{ readonly type: string; readonly text: string }>;
}

/** Seconds, from a model that is nearly here to one of a terabyte. */
const coldStartBuckets = [0.5, 1, 2, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560];

/** Creates metrics that start at zero. */
export function createMetrics(): Metrics {
  const registry = new Registry<OpenMetricsContentType>();
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  const registers = [registry];
  const bytes = new Counter({
    name: "ballast_bytes",
    help: "Bytes of models that were brought, by who had them",
    labelNames: ["provider"],
    registers,
  });
  const deliveries = new Counter({
    name: "ballast_deliveries",
    help: "Models that were asked for: hit (all was here), miss (something was fetched), failed",
    labelNames: ["result"],
    registers,
  });
  const coldStart = new Histogram({
    name: "ballast_cold_start_seconds",
    help: "From the first who asked for a model that was not here to its tree",
    buckets: coldStartBuckets,
    registers,
  });
  const failures = new Counter({
    name: "ballast_verification_failures",
    help: "Bytes that did not match their digest: models a registry served wrong, files the disk did",
    labelNames: ["side"],
    registers,
  });
  const evictions = new Counter({
    name: "ballast_evictions",
    help: "Models that were evicted",
    registers,
  });
  const decisions = new Counter({
    name: "ballast_access_decisions",
    help: "Decisions about who may read what",
    labelNames: ["verdict", "why"],
    registers,
  });
  const storeBytes = new Gauge({
    name: "ballast_store_bytes",
    help: "Bytes of the store's files",
    registers,
  });
  const freeBytes = new Gauge({
    name: "ballast_store_free_bytes",
    help: "Free bytes of the store's filesystem",
    registers,
  });
  const models = new Gauge({
    name: "ballast_models",
    help: "Models of the store",
    labelNames: ["state"],
    registers,
  });
  return {
    countDecisions: (audit) => (decision) => {
      const { verdict, why } = decision;
      decisions.inc({ verdict, why });
      audit(decision);
    },
    countEvictions: (count) => evictions.inc(count),
    countRotten: (files) => failures.inc({ side: "disk" }, files),
    timeDelivery: async (work) => {
      const startedAt = performance.now();
      try {
        const ready = await work();
        const { moved } = ready;
        bytes.inc({ provider: "registry" }, moved);
        bytes.inc({ provider: "local" }, Math.max(0, ready.bytes - moved));
        deliveries.inc({ result: moved > 0 ? "miss" : "hit" });
        if (moved > 0) coldStart.observe((performance.now() - startedAt) / 1000);
        return ready;
      } catch (error) {
        deliveries.inc({ result: "failed" });
        if (isModelError(error, "DIGEST_MISMATCH")) failures.inc({ side: "registry" });
        throw error;
      }
    },
    describe: async (status) => {
      const { store, models: all } = await status.read();
      storeBytes.set(store.bytes);
      freeBytes.set(store.freeBytes);
      for (const state of ["ready", "partial", "pulling", "failed"] as const)
        models.set({ state }, all.filter((each) => each.state === state).length);
      return { type: registry.contentType, text: await registry.metrics() };
    },
  };
}
