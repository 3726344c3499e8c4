import type { StatusDocument } from "../../agent/api/documents.ts";
import type { AgentClient } from "../../agent/client/client.ts";
import { ModelError } from "../../core/errors.ts";
import { describeFault, type Log } from "../../core/log.ts";
import { pause } from "../../core/pause.ts";
import { createBackoff } from "../backoff.ts";
import { createBell } from "../bell.ts";
import type { Pace } from "./pace.ts";

/**
 * `ready`: it answers, and what it said last holds. `silent`: it does not, and what it said last may still
 * hold. `lost`: it has been silent for too long.
 */
type AgentState = "ready" | "silent" | "lost";

/** The agent of this node, as far as it can be seen. Disposing ends the looking. */
export interface AgentView extends AsyncDisposable {
  readonly state: AgentState;
  /** What it said last; undefined before it said anything. */
  readonly status: StatusDocument | undefined;
}

export interface AgentViewOptions {
  readonly client: AgentClient;
  /** For how long it may be silent. */
  readonly graceMs: number;
  /** Whether models wait to be withdrawn before they go: `watch` of AgentClient. */
  readonly tells: boolean;
  readonly pace: Pace;
  /** Told after each change. */
  readonly onChange: () => void;
  readonly log: Log;
}

const eagerProbeMs = 1_000;

/**
 * Watches an agent and asks it whether it is ready, again whenever it comes back. It is silent at first. An
 * agent that hangs keeps its connections: only the asking finds it out.
 */
export function followAgent(options: AgentViewOptions): AgentView {
  const { client, graceMs, tells, pace, onChange, log } = options;
  const stop = new AbortController();
  const { signal } = stop;
  const asking = createBell();
  let status: StatusDocument | undefined;
  let state: AgentState = "silent";
  let isWatching = false;
  let isAnswering = false;
  let why: unknown = new ModelError("AGENT_UNAVAILABLE", "the agent has not answered yet");
  let grace = startGrace();

  function startGrace(): NodeJS.Timeout {
    return setTimeout(() => {
      state = "lost";
      log("agent lost", { seconds: graceMs / 1000, error: describeFault(why) });
      onChange();
    }, graceMs).unref();
  }

  /** To be called after what is known of it changed. */
  function judge(): void {
    const isReady = isWatching && isAnswering;
    if (isReady && state !== "ready") {
      clearTimeout(grace);
      state = "ready";
      log("agent ready", { version: status?.version });
    } else if (!isReady && state === "ready") {
      state = "silent";
      grace = startGrace();
      log("agent silent", { error: describeFault(why) });
    }
    onChange();
  }

  async function watch(): Promise<void> {
    // It is near, and to be found again within its grace.
    const backoff = createBackoff(pace.retryMs / 2, 3 * pace.retryMs);
    while (!signal.aborted) {
      try {
        for await (const next of client.watch({ tells, signal })) {
          status = next;
          backoff.succeeded();
          if (!isWatching) asking.ring();
          isWatching = true;
          judge();
        }
        why = new ModelError("AGENT_UNAVAILABLE", "the agent ended the watch");
      } catch (error) {
        why = error;
      }
      if (signal.aborted) return;
      isWatching = false;
      isAnswering = false;
      judge();
      await pause(backoff.failed(), signal);
    }
  }

  async function ask(): Promise<void> {
    while (!signal.aborted) {
      const waitMs = isAnswering ? pace.probeMs : Math.min(eagerProbeMs, pace.probeMs);
      await asking.heard(isWatching ? waitMs : Number.POSITIVE_INFINITY, signal);
      if (signal.aborted || !isWatching) continue;
      const timeout = AbortSignal.timeout(pace.answerMs);
      const isReady = await client.ready({ signal: AbortSignal.any([signal, timeout]) }).then(
        () => true,
        (error: unknown) => {
          why = timeout.aborted ? new ModelError("AGENT_UNAVAILABLE", "the agent hangs") : error;
          return false;
        },
      );
      if (signal.aborted || !isWatching || isReady === isAnswering) continue;
      isAnswering = isReady;
      judge();
    }
  }

  const running = Promise.all([watch(), ask()]);
  return {
    get state() {
      return state;
    },
    get status() {
      return status;
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      clearTimeout(grace);
      await running;
    },
  };
}
