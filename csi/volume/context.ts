import type { AgentClient } from "../../src/agent/client/client.ts";
import type { KeyedMutex } from "../../src/core/keyed-mutex.ts";
import type { Log } from "../log.ts";
import type { PodPolicy } from "../request/subject.ts";
import type { TargetSpace } from "../request/target-path.ts";
import type { Interrupts } from "./interrupts.ts";
import type { VolumeStates } from "./volume-states.ts";

/** How long calls wait; the defaults fit a kubelet, which gives each call 120 s. */
export interface Patience {
  /** The first call for a model that is not here is answered after this, so that an Event shows it. */
  readonly firstAnswerMs: number;
  /** Later calls are held so long: after a failed call a kubelet waits up to 122 s to ask again. */
  readonly holdMs: number;
  /** Held calls are answered so long before their deadline. */
  readonly marginMs: number;
  /** An agent that does not answer is waited for. */
  readonly agentMs: number;
  /** Unpublish waits so long for the agent to acknowledge; after that it is asked in the background. */
  readonly releaseMs: number;
  /** Between two questions to an agent that does not answer. */
  readonly retryMs: number;
  /** Between two comparisons of leases, mounts and pods. */
  readonly reconcileMs: number;
}

export const defaultPatience: Patience = {
  firstAnswerMs: 4000,
  holdMs: 110_000,
  marginMs: 3000,
  agentMs: 20_000,
  releaseMs: 5000,
  retryMs: 2000,
  reconcileMs: 600_000,
};

/** What publish, unpublish and upkeep of volumes share. */
export interface VolumeContext extends TargetSpace {
  readonly agent: AgentClient;
  readonly states: VolumeStates;
  /** Trees are mounted from below this folder only. */
  readonly storeRoot: string;
  /** A folder for mounts that are being made, on old kernels. */
  readonly scratch: string;
  readonly pods: PodPolicy;
  readonly patience: Patience;
  readonly log: Log;
  /** One change at a time for each target, by lease id. */
  readonly changes: KeyedMutex;
  readonly interrupts: Interrupts;
  /** Leases whose publish call was answered with progress. */
  readonly answered: Set<string>;
  /** Called when a release has to be tried again. */
  readonly onPending: () => void;
}
