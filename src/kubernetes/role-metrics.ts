import { type OpenMetricsContentType, Registry } from "prom-client";

/** Metrics as they are served. */
export interface MetricsText {
  readonly type: string;
  /** OpenMetrics. */
  readonly text: string;
}

/** Where a role keeps its metrics. */
export interface RoleMetrics {
  /** For new metrics, which are then described with the others. */
  readonly registers: Registry<OpenMetricsContentType>[];
  readonly describe: () => Promise<MetricsText>;
}

/** Creates one that has none. */
export function createRoleMetrics(): RoleMetrics {
  const registry = new Registry<OpenMetricsContentType>();
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE);
  return {
    registers: [registry],
    describe: async () => ({ type: registry.contentType, text: await registry.metrics() }),
  };
}
