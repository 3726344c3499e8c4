import type { Log } from "../../core/log.ts";
import type { ClusterApi } from "../api/cluster-api.ts";
import type { ControllerMetrics } from "./metrics.ts";

/** What each duty of a leading controller works with. */
export interface Duty {
  readonly api: ClusterApi;
  readonly log: Log;
  readonly metrics: ControllerMetrics;
  /** Ends when this replica leads no more. */
  readonly signal: AbortSignal;
  /** Told when `what` cannot be followed, and when it can again (undefined). */
  readonly onOutage: (what: string, error: unknown) => void;
}
