import type { Dispatcher } from "undici";

/** Tells a request lost on a connection that had gone stale from one that failed on a new one. */
export interface ConnectionLog {
  /** Connections made so far. */
  readonly made: number;
  /** The number of the connection that ended with `error`, counted from 1; undefined when none did. */
  endedWith(error: unknown): number | undefined;
}

/** Watches the connections of agents that send one request at a time over each. */
export function watchConnections(agents: readonly Dispatcher[]): ConnectionLog {
  // Keyed by undici's clients, which hold one connection at a time, and by errors.
  const numbers = new WeakMap<object, number>();
  const ended = new WeakMap<object, number>();
  let made = 0;
  for (const agent of agents) {
    agent.on("connect", (_, targets) => {
      made += 1;
      const client = targets.at(-1);
      if (client !== undefined) numbers.set(client, made);
    });
    agent.on("disconnect", (_, targets, error) => {
      const client = targets.at(-1);
      const number = client === undefined ? undefined : numbers.get(client);
      if (number !== undefined) ended.set(error, number);
    });
  }
  return {
    get made() {
      return made;
    },
    endedWith: (error) =>
      typeof error === "object" && error !== null ? ended.get(error) : undefined,
  };
}
