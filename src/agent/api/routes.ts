/**
 * The kinds of callers. Each has a socket of its own, `<run>/<kind>/agent.sock`, in a folder that its
 * group may enter: who may connect is decided by the filesystem.
 */
export const callerKinds = ["mount", "locality", "admin"] as const;
export type CallerKind = (typeof callerKinds)[number];

/** Paths of the agent's HTTP interface; docs/agent-api.md describes each. */
export const routes = {
  health: "/healthz",
  readiness: "/readyz",
  metrics: "/metrics",
  volumes: "/v1/volumes",
  prefetches: "/v1/prefetches",
  pins: "/v1/pins",
  removals: "/v1/removals",
  collections: "/v1/collections",
  status: "/v1/status",
  withdrawals: "/v1/withdrawals",
} as const;

/** The names of events in an answer of type `text/event-stream`. */
export const eventNames = ["progress", "ready", "failed", "status"] as const;
export type EventName = (typeof eventNames)[number];

/** The socket of one kind of callers below the agent's run folder. */
export function socketPath(run: string, kind: CallerKind): string {
  return `${run}/${kind}/agent.sock`;
}
