/** How often a reporter does what, in milliseconds. */
export interface Pace {
  /** Between two writes of labels, at least. */
  readonly labelGapMs: number;
  /** How long a label that somebody else changes again and again stays so, in the end. */
  readonly longestMendGapMs: number;
  /** Between two writes of the report, at least. */
  readonly reportGapMs: number;
  /** The same where only byte counts and rates are others. */
  readonly progressGapMs: number;
  /** Between two renewals of the Lease, which lasts three times as long. */
  readonly leaseMs: number;
  /** Between two looks at whether the agent is ready, while it is. */
  readonly probeMs: number;
  /** How long an answer of the agent may take. */
  readonly answerMs: number;
  /** After a first failure of the cluster; then twice as long each time, up to thirty times. */
  readonly retryMs: number;
}

export const defaultPace: Pace = {
  labelGapMs: 1000,
  longestMendGapMs: 60_000,
  reportGapMs: 10_000,
  progressGapMs: 60_000,
  leaseMs: 20_000,
  probeMs: 10_000,
  answerMs: 5_000,
  retryMs: 1000,
};
