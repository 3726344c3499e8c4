import { isDeepStrictEqual } from "node:util";
import type { AgentClient } from "../../agent/client/client.ts";
import type { Digest } from "../../core/digest.ts";
import { describeFault, type Log } from "../../core/log.ts";
import type { ClusterApi } from "../api/cluster-api.ts";
import { acceptMetadata } from "../api/list.ts";
import type { ApiObject } from "../api/objects.ts";
import type { AgentView } from "./agent-view.ts";
import { type Keeper, type KeeperTurn, startKeeper } from "./keeper.ts";
import { chooseLabels, countLabels, type LabelChoice, patchLabels } from "./labels.ts";
import type { OwnObject } from "./own-object.ts";
import type { Pace } from "./pace.ts";

/**
 * Keeps the labels of a node as they should be, told of it when the agent or the node may have changed.
 * Disposing ends that; the labels stay.
 */
export interface LabelKeeper extends Keeper {
  /** How many labels of Ballast the node has. */
  readonly count: number;
  /** Why they could not be written the last time; undefined when all is well. */
  readonly failure: string | undefined;
}

export interface LabelKeeperOptions {
  readonly api: ClusterApi;
  readonly name: string;
  readonly node: OwnObject<ApiObject>;
  readonly agent: AgentView;
  readonly client: AgentClient;
  /** Undefined: none at all. */
  readonly choice: LabelChoice | undefined;
  readonly pace: Pace;
  /** Told when labels were mended that somebody else had changed. */
  readonly onMend: () => void;
  readonly log: Log;
}

/**
 * Starts it. One write for each change, and not more than one in `labelGapMs`. What somebody else changes is
 * mended, more slowly each time. A model that is about to go is withdrawn from the agent once its label is gone.
 */
export function keepLabels(options: LabelKeeperOptions): LabelKeeper {
  const { api, name, node, agent, client, choice, pace, onMend, log } = options;
  let failure: string | undefined = "labels have not been looked at yet";
  let settled: ReadonlySet<string> | undefined;
  let isSettled = false;
  let writtenAt = Number.NEGATIVE_INFINITY;
  let mendedAt = Number.NEGATIVE_INFINITY;
  let mendGapMs = pace.labelGapMs;
  let withdrawn = new Set<Digest>();

  /** Undefined where nobody can say. */
  function wanted(): ReadonlySet<string> | undefined {
    if (choice === undefined || agent.state === "lost") return new Set();
    return agent.status === undefined ? undefined : chooseLabels(agent.status.models, choice);
  }

  /** Resolves to how long to wait before the next look. */
  async function settle({ retryAt, signal }: KeeperTurn): Promise<number> {
    if (!node.isKnown) return Number.POSITIVE_INFINITY;
    const labels = node.object?.metadata.labels ?? {};
    const goal = wanted();
    const patch = patchLabels(labels, goal);
    const isThere = node.object !== undefined;
    if (!isThere || Object.keys(patch).length === 0) {
      failure = undefined;
      [settled, isSettled] = [goal, isThere];
      await withdraw(signal);
      return Number.POSITIVE_INFINITY;
    }
    const isMend = isSettled && isDeepStrictEqual(goal, settled);
    const mayMendAt = isMend ? mendedAt + mendGapMs : 0;
    const dueAt = Math.max(writtenAt + pace.labelGapMs, mayMendAt, retryAt);
    const waitMs = dueAt - performance.now();
    if (waitMs > 0) return waitMs;
    writtenAt = performance.now();
    const body = { metadata: { labels: patch } };
    const path = `/api/v1/nodes/${name}`;
    // A Node is large.
    const question = { method: "PATCH", path, body, accept: acceptMetadata } as const;
    node.accept(await api.call<ApiObject>(question, { signal }));
    if (isMend) mended();
    log(isMend ? "labels mended" : "labels written", { changes: patch });
    return 0;
  }

  /** Who changes it back at once is let do so for longer and longer, and forgiven after some peace. */
  function mended(): void {
    const now = performance.now();
    const isPeace = now - mendedAt > 2 * pace.longestMendGapMs;
    mendGapMs = isPeace ? pace.labelGapMs : Math.min(2 * mendGapMs, pace.longestMendGapMs);
    mendedAt = now;
    onMend();
  }

  /** To be called when no label is there that should not be. */
  async function withdraw(signal: AbortSignal): Promise<void> {
    const models = (agent.status?.models ?? []).filter((each) => each.leaving);
    const leaving = new Set(models.map(({ digest }) => digest));
    withdrawn = withdrawn.intersection(leaving);
    const digests = [...leaving.difference(withdrawn)];
    if (digests.length === 0) return;
    try {
      const timeout = AbortSignal.timeout(pace.answerMs);
      await client.withdraw({ digests }, { signal: AbortSignal.any([signal, timeout]) });
      for (const digest of digests) withdrawn.add(digest);
      log("models withdrawn", { digests });
    } catch (error) {
      // It does not wait for ever.
      if (!signal.aborted) log("withdrawal failed", { digests, error: describeFault(error) });
    }
  }

  const keeper = startKeeper({
    settle,
    onFailure: (error) => {
      const fault = describeFault(error);
      failure = `labels cannot be written: ${String(fault["message"])}`;
      log("labels failed", { error: fault });
    },
    retryMs: pace.retryMs,
  });
  return {
    look: () => keeper.look(),
    get count() {
      return countLabels(node.object?.metadata.labels ?? {});
    },
    get failure() {
      return failure;
    },
    [Symbol.asyncDispose]: () => keeper[Symbol.asyncDispose](),
  };
}
