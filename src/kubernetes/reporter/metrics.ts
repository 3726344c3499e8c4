import { Counter, Gauge } from "prom-client";
import type { ApiRequest, ClusterApi } from "../api/cluster-api.ts";
import { createRoleMetrics, type MetricsText } from "../role-metrics.ts";

/** What a reporter counts; docs/operations.md lists the names. */
export interface ReporterMetrics {
  /** Counts what is written through it. */
  countWrites(api: ClusterApi): ClusterApi;
  countMend(): void;
  reported(): void;
  /** OpenMetrics text, with what holds now; the agent's own text follows, where there is one. */
  describe(now: {
    readonly labels: number;
    readonly agentReady: boolean;
    readonly agentText: string | undefined;
  }): Promise<MetricsText>;
}

/** Creates metrics that start at zero. */
export function createReporterMetrics(): ReporterMetrics {
  const { registers, describe } = createRoleMetrics();
  const writes = new Counter({
    name: "ballast_reporter_api_writes",
    help: "Objects that were written to the API server, by kind and by how that ended: done, failed",
    labelNames: ["object", "result"],
    registers,
  });
  const mends = new Counter({
    name: "ballast_reporter_label_mends",
    help: "Times that labels of the node were set right after somebody else had changed them",
    registers,
  });
  const labels = new Gauge({
    name: "ballast_reporter_labels",
    help: "Labels of the node that say which models are there",
    registers,
  });
  const agentReady = new Gauge({
    name: "ballast_reporter_agent_ready",
    help: "1 while the node's agent answers",
    registers,
  });
  const reportedAt = new Gauge({
    name: "ballast_reporter_last_report_timestamp_seconds",
    help: "When the NodeModels object was written last; 0 when it was not since the start",
    registers,
  });
  return {
    countWrites: (api) => ({
      ...api,
      call: async <T>(request: ApiRequest, options = {}) => {
        if (request.method === "GET") return api.call<T>(request, options);
        const object = objectOf(request.path);
        try {
          const answer = await api.call<T>(request, options);
          writes.inc({ object, result: "done" });
          return answer;
        } catch (error) {
          writes.inc({ object, result: "failed" });
          throw error;
        }
      },
    }),
    countMend: () => mends.inc(),
    reported: () => reportedAt.set(Date.now() / 1000),
    describe: async (now) => {
      labels.set(now.labels);
      agentReady.set(now.agentReady ? 1 : 0);
      const { type, text } = await describe();
      const { agentText } = now;
      return { type, text: agentText === undefined ? text : text.replace(end, "") + agentText };
    },
  };
}

/** What OpenMetrics text ends with, once. */
const end = /# EOF\n?$/;

function objectOf(path: string): string {
  if (path.includes("/leases")) return "Lease";
  return path.includes("/nodemodels") ? "NodeModels" : "Node";
}
