import { describeFault, type Log } from "../../../core/log.ts";
import type { WebhookMetrics } from "../metrics.ts";
import { admit } from "../pod/admit.ts";
import { podGroup } from "../pod/pod-group.ts";
import { podModels } from "../pod/pod-models.ts";
import { type FindModelOptions, findModel } from "../resolve/find-model.ts";
import { answerReview, type ReviewRequest } from "./review.ts";

export interface ReviewerOptions extends FindModelOptions {
  readonly affinityMinBytes: number;
  readonly metrics: WebhookMetrics;
  readonly log: Log;
  /** How long others are asked in all. Default: 1500, since an API server waits for 2000. */
  readonly deadlineMs?: number | undefined;
}

/** Answers reviews. Never rejects and never denies: what cannot be done is left. */
export type Reviewer = (request: ReviewRequest) => Promise<string>;

const defaultDeadlineMs = 1_500;

/** Creates the answers from what is known of models. */
export function createReviewer(options: ReviewerOptions): Reviewer {
  const { metrics, log, affinityMinBytes, deadlineMs = defaultDeadlineMs } = options;

  async function decide({ pod, namespace, dryRun, uid }: ReviewRequest): Promise<string> {
    const models = pod === undefined ? [] : podModels(pod);
    if (pod === undefined || models.length === 0) return answerReview(uid, []);
    const signal = AbortSignal.timeout(deadlineMs);
    const asker = { namespace, group: podGroup(pod), dryRun, signal };
    const findings = await Promise.all(models.map((model) => findModel(model, asker, options)));
    const { patch, decision, outcomes } = admit(pod, findings, { affinityMinBytes });
    for (const outcome of outcomes) metrics.countOutcome(outcome);
    if (outcomes.includes("unknown")) log("pod left alone", { namespace, decision });
    return answerReview(uid, patch);
  }

  return (request) =>
    metrics.timeReview(async () => {
      try {
        return await decide(request);
      } catch (error) {
        log("review failed", describeFault(error));
        metrics.countOutcome("failed");
        return answerReview(request.uid, []);
      }
    });
}
