import { Counter, Gauge, Histogram } from "prom-client";
import { createRoleMetrics, type MetricsText } from "../role-metrics.ts";
import type { Outcome } from "./pod/admit.ts";

/** What a webhook counts, as OpenMetrics; docs/operations.md lists the names. */
export interface WebhookMetrics {
  countOutcome(outcome: Outcome | "failed"): void;
  countPinFailure(): void;
  /** Times a review. Settles as `work` does. */
  timeReview<T>(work: () => Promise<T>): Promise<T>;
  /** When the certificate that is served ends. */
  setCertificateEnd(end: Date): void;
  /** The text of all. */
  describe(pins: number): Promise<MetricsText>;
}

const reviewBuckets = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 1.5, 2];

/** Creates metrics that start at zero. */
export function createWebhookMetrics(): WebhookMetrics {
  const { registers, describe } = createRoleMetrics();
  const decisions = new Counter({
    name: "ballast_webhook_decisions",
    help: "What became of the models of pods that were created",
    labelNames: ["result"],
    registers,
  });
  const reviews = new Histogram({
    name: "ballast_webhook_review_seconds",
    help: "From a pod's review to its answer",
    buckets: reviewBuckets,
    registers,
  });
  const failures = new Counter({
    name: "ballast_webhook_pin_write_failures",
    help: "Times that pins could not be written, and hold in one replica only",
    registers,
  });
  const pinned = new Gauge({
    name: "ballast_webhook_pins",
    help: "Pins that are kept",
    registers,
  });
  const end = new Gauge({
    name: "ballast_webhook_certificate_end_seconds",
    help: "When the serving certificate ends, in seconds since the epoch",
    registers,
  });
  return {
    countOutcome: (result) => decisions.inc({ result }),
    countPinFailure: () => failures.inc(),
    timeReview: async (work) => {
      const stop = reviews.startTimer();
      try {
        return await work();
      } finally {
        stop();
      }
    },
    setCertificateEnd: (date) => end.set(date.getTime() / 1000),
    describe: async (pins) => {
      pinned.set(pins);
      return describe();
    },
  };
}
