import { Counter, Gauge } from "prom-client";
import { createRoleMetrics, type MetricsText } from "../role-metrics.ts";

/** What a controller counts, as OpenMetrics; docs/operations.md lists the names. */
export interface ControllerMetrics {
  setLeading(leads: boolean): void;
  /** How many nodes have a Lease that was not renewed in time. */
  setStaleNodes(count: number): void;
  countLabelsRemoved(labels: number): void;
  countVolume(outcome: "made" | "deleted"): void;
  /** Claims that got no volume, once for each reason. */
  countRefusal(): void;
  /** Calls and watches that failed, by what they were for. */
  countFailure(of: string): void;
  readonly describe: () => Promise<MetricsText>;
}

/** Creates metrics that start at zero. */
export function createControllerMetrics(): ControllerMetrics {
  const { registers, describe } = createRoleMetrics();
  const leading = new Gauge({
    name: "ballast_controller_leading",
    help: "Whether this replica leads: the sum over all replicas should be 1",
    registers,
  });
  const staleNodes = new Gauge({
    name: "ballast_controller_stale_nodes",
    help: "Nodes whose reporter has not renewed its Lease in time",
    registers,
  });
  const labels = new Counter({
    name: "ballast_controller_labels_removed",
    help: "Labels taken from nodes without a living reporter",
    registers,
  });
  const volumes = new Counter({
    name: "ballast_controller_volumes",
    help: "PersistentVolumes that were made and deleted",
    labelNames: ["outcome"],
    registers,
  });
  const refusals = new Counter({
    name: "ballast_controller_claims_refused",
    help: "Claims that got no volume, with an Event that says why",
    registers,
  });
  const failures = new Counter({
    name: "ballast_controller_failures",
    help: "Work that failed and is tried again",
    labelNames: ["of"],
    registers,
  });
  return {
    setLeading: (leads) => leading.set(leads ? 1 : 0),
    setStaleNodes: (count) => staleNodes.set(count),
    countLabelsRemoved: (count) => labels.inc(count),
    countVolume: (outcome) => volumes.inc({ outcome }),
    countRefusal: () => refusals.inc(),
    countFailure: (of) => failures.inc({ of }),
    describe,
  };
}
