import type { AcquireRequest, ModelProgress, ReadyModel } from "../../src/agent/api/documents.ts";
import type { AgentClient } from "../../src/agent/client/client.ts";
import { withPatience } from "./agent-patience.ts";

/** A model that is here, or how far it is when a call has waited long enough. */
export type WaitOutcome =
  | { readonly outcome: "ready"; readonly model: ReadyModel }
  | { readonly outcome: "pulling"; readonly progress: ModelProgress | undefined };

export interface WaitLimits {
  /** Ends the wait with its reason. */
  readonly signal: AbortSignal;
  /** How long to wait once the agent was asked. */
  readonly answerMs: number;
  /** How long to wait at all, with an agent that is away. */
  readonly holdMs: number;
  readonly agentMs: number;
  readonly retryMs: number;
}

/**
 * Waits for a model, not for its pull: that goes on at the agent, under the lease, however the wait
 * ends. Rejects with what the agent says, or with AGENT_UNAVAILABLE when it stays away.
 */
export async function waitForModel(
  agent: AgentClient,
  request: AcquireRequest,
  { signal, answerMs, holdMs, agentMs, retryMs }: WaitLimits,
): Promise<WaitOutcome> {
  let progress: ModelProgress | undefined;
  const end = AbortSignal.timeout(holdMs);
  const ask = async (contact: () => void): Promise<WaitOutcome> => {
    const enough = AbortSignal.any([end, AbortSignal.timeout(answerMs)]);
    const onProgress = (event: ModelProgress) => {
      progress = event;
      contact();
    };
    try {
      const options = { signal: AbortSignal.any([signal, enough]), onProgress };
      return { outcome: "ready", model: await agent.acquire(request, options) };
    } catch (error) {
      if (signal.aborted || !enough.aborted) throw error;
      return { outcome: "pulling", progress };
    }
  };
  return withPatience(ask, { signal, agentMs: Math.min(agentMs, holdMs), retryMs });
}
