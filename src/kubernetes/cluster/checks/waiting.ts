import type { ClusterFacts } from "../facts/cluster-facts.ts";
import { type Finding, ok, unseen, warning } from "../finding.ts";

const check = "waiting pods";
const longMs = 120_000;

/** Where pods wait for models, and for what. */
export function checkWaiting({ waiting, now }: ClusterFacts): Finding[] {
  if (waiting.refused !== undefined) return [unseen(check, "pods of all namespaces", waiting)];
  if (waiting.value.length === 0) return [ok(check, "no pod with a model waits to start")];
  return waiting.value.map(({ namespace, count, pod, since, why }) => {
    const waited = now - Date.parse(since);
    const many = count === 1 ? "a pod waits" : `${count} pods wait`;
    const summary = `${namespace}: ${many}, ${pod} since ${since}: ${why ?? "no Event says why"}`;
    // A pull is no fault.
    return waited < longMs || /\bpulling\b|waits for its turn|\bfinishing\b/.test(why ?? "")
      ? ok(check, summary)
      : warning(check, summary, `ballast cluster explain pod ${namespace}/${pod}`);
  });
}
