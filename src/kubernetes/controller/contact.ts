import type { ClusterApi } from "../api/cluster-api.ts";

/** A cluster of which it is known when it answered last. */
export interface Contact {
  /** The same, watched. */
  readonly api: ClusterApi;
  /** What is wrong where it has not answered for a while; undefined while it does. */
  problem(): string | undefined;
}

const patienceMs = 60_000;

/** Watches what comes of the calls to `api`. */
export function createContact(api: ClusterApi): Contact {
  let answered: number | undefined;
  let last = "it was not asked yet";
  return {
    api: {
      ...api,
      call: async (request, options) => {
        try {
          const answer = await api.call<never>(request, options);
          answered = performance.now();
          return answer;
        } catch (error) {
          last = error instanceof Error ? error.message : String(error);
          throw error;
        }
      },
      [Symbol.dispose]: () => api[Symbol.dispose](),
    },
    problem: () => {
      if (answered === undefined) return `the API server has not answered: ${last}`;
      const silentMs = performance.now() - answered;
      if (silentMs < patienceMs) return undefined;
      return `the API server has not answered for ${Math.round(silentMs / 1000)} s: ${last}`;
    },
  };
}
