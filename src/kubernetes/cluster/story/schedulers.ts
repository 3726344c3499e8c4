import type { Pod } from "../../api/objects.ts";

/** What becomes of a preference for nodes. */
export interface SchedulerHabit {
  /** Whether preferred node affinity counts; undefined where it is not known. */
  readonly scores: boolean | undefined;
  /** In one sentence. */
  readonly sentence: string;
  /** Nothing that needs to be said. */
  readonly isUsual?: boolean;
}

const habits: Readonly<Record<string, SchedulerHabit>> = {
  "default-scheduler": {
    scores: true,
    sentence: "default-scheduler adds preferred node affinity to its other scores",
    isUsual: true,
  },
  volcano: { scores: true, sentence: "Volcano scores preferred node affinity" },
  "kai-scheduler": {
    scores: false,
    sentence: "KAI ignores preferred node affinity, so that the hint does nothing there",
  },
  "hami-scheduler": {
    scores: false,
    sentence:
      "HAMi chooses one node by its own score before preferences count, so that the hint does nothing there",
  },
};

const hostname = "kubernetes.io/hostname";

/** What the scheduler of a pod does with preferred node affinity (docs/operations.md). */
export function habitOf({ metadata, spec }: Pod): SchedulerHabit {
  const { schedulerName = "default-scheduler", nodeSelector = {} } = spec;
  const annotations = Object.keys(metadata.annotations ?? {});
  const isTopological = annotations.some((key) =>
    /^kueue\.x-k8s\.io\/podset-.*topology$/.test(key),
  );
  if (isTopological && hostname in nodeSelector)
    return {
      scores: false,
      sentence: `Kueue chose the node ${nodeSelector[hostname]} by its topology, so that the hint does nothing there`,
    };
  return (
    habits[schedulerName] ?? {
      scores: undefined,
      sentence: `whether the scheduler ${schedulerName} scores preferred node affinity is not known`,
    }
  );
}
