import { sayWhen } from "../facts/pod-events.ts";
import type { PodFacts, Sentence } from "./pod-facts.ts";

/** Where a pod is, or what its scheduler says of why it is nowhere. */
export function tellPlacement({ pod, events }: PodFacts): Sentence[] {
  const { nodeName, schedulerName = "default-scheduler", schedulingGates = [] } = pod.spec;
  const say = (text: string): Sentence[] => [{ about: "placement", text }];
  if (nodeName !== undefined) return say(`It is on node ${nodeName}.`);
  if (schedulingGates.length > 0)
    return say(
      `It is held back from scheduling by ${schedulingGates.map(({ name }) => name).join(", ")}; Ballast sets no such gate.`,
    );
  const refused = (events.value ?? [])
    .filter(({ reason }) => reason === "FailedScheduling")
    .toSorted((a, b) => sayWhen(b).localeCompare(sayWhen(a)))[0];
  if (refused !== undefined)
    return say(
      `It is on no node yet; ${schedulerName} says: ${refused.message} A preference of Ballast never keeps a pod from a node.`,
    );
  return say(
    events.refused === undefined
      ? `It is on no node yet, and ${schedulerName} has said nothing: is it running?`
      : "It is on no node yet; why cannot be told, since this user may not read Events.",
  );
}
