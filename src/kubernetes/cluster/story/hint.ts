import { decisionAnnotation, labelValue, localityAnnotation } from "../../names.ts";
import type { ClusterNode } from "../facts/cluster-nodes.ts";
import { nameOf } from "../facts/cluster-nodes.ts";
import { someOf } from "../finding.ts";
import { readHintTerms } from "./hint-terms.ts";
import type { PodFacts, Sentence } from "./pod-facts.ts";
import { habitOf } from "./schedulers.ts";
import { whyNot } from "./why-not.ts";

const mostNodes = 3;

/** What the hint was, and what can be said of what it did: schedulers do not tell their scores. */
export function tellHint(facts: PodFacts): Sentence[] {
  const { pod, models, nodes } = facts;
  if (models.length === 0) return [];
  const annotations = pod.metadata.annotations ?? {};
  const decision = annotations[decisionAnnotation];
  const noted = decision === undefined ? [] : [`The webhook noted: ${decision}.`];
  const say = (...texts: string[]): Sentence[] => texts.map((text) => ({ about: "hint", text }));
  if (annotations[localityAnnotation] === "off")
    return say(`Its annotation ${localityAnnotation} is off: Ballast left it alone.`, ...noted);
  const { ours, othersWeights } = readHintTerms(pod);
  const habit = habitOf(pod);
  if (ours.length === 0)
    return say(
      ...noted,
      ...(decision === undefined ? [`It prefers no node for its model: ${whyNoHint(facts)}.`] : []),
    );
  const weights = ours.map(({ label, weight }) => `${label} with weight ${weight}`).join(", ");
  const beside =
    othersWeights.length === 0
      ? ""
      : `, beside its own preferences with ${othersWeights.join(", ")}`;
  return say(
    `It prefers nodes with the label ${weights}${beside}.`,
    ...noted,
    ...(habit.isUsual ? [] : [`${capital(habit.sentence)}.`]),
    ...(nodes.refused === undefined
      ? tellEffect(facts, nodes.value, new Set(ours.map(({ label }) => label)))
      : ["Which nodes have that label cannot be told: this user may not list nodes."]),
  );
}

function tellEffect(
  { pod }: PodFacts,
  nodes: readonly ClusterNode[],
  labels: ReadonlySet<string>,
): string[] {
  const warm = nodes.filter((node) =>
    [...labels].some((label) => node.metadata.labels?.[label] === labelValue),
  );
  const names = warm.map(nameOf);
  const { nodeName } = pod.spec;
  if (warm.length === 0) return ["No node has that label now, so there is nothing to prefer."];
  const told = someOf(names, mostNodes);
  if (nodeName !== undefined && names.includes(nodeName))
    return habitOf(pod).scores === false
      ? [`${nodeName} has that label now; with this scheduler that is chance.`]
      : [
          `${nodeName} has that label now, as the hint asks for. How much the hint counted cannot be told: schedulers do not tell their scores.`,
        ];
  const known = warm.flatMap((node) => {
    const why = whyNot(pod, node);
    return why === undefined ? [] : [`${nameOf(node)} ${why}`];
  });
  const reasons = someOf(known, mostNodes);
  const where = `The label is on ${told} now`;
  if (nodeName === undefined) return [`${where}${known.length > 0 ? `: ${reasons}` : ""}.`];
  if (known.length === warm.length) return [`${where}, where this pod cannot go: ${reasons}.`];
  const seenHere =
    known.length === 0
      ? "Nothing that would keep it away is seen"
      : `${reasons}; of the others nothing that would keep it away is seen`;
  return [
    `${where}, and the pod is elsewhere. ${seenHere}: it may have had no room there, other scores may have counted more, or the label came later. Schedulers do not tell their scores.`,
  ];
}

/** Why a pod that was let alone without a word may have been. */
function whyNoHint({ pod, models }: PodFacts): string {
  const { namespace = "", annotations } = pod.metadata;
  if (namespace === "kube-system") return "pods of kube-system are left alone";
  const isAsked = annotations?.[localityAnnotation] === "on";
  if (!isAsked && models.every(({ claim }) => claim !== undefined))
    return `its models come by claims, which are looked at only with ${localityAnnotation}: "on"`;
  return "when it was made, neither webhook nor policy was called for it, or it named its node itself";
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
