import { driverName } from "../../names.ts";
import type { ClusterEvent } from "../facts/cluster-facts.ts";
import { sayWhen } from "../facts/pod-events.ts";
import { type MountMessage, readMountMessage } from "./mount-message.ts";
import type { PodFacts, PodModel, Sentence } from "./pod-facts.ts";

const reasons = new Set(["FailedMount", "FailedAttachVolume"]);

/** What the volumes of a pod wait for, and what to do. */
export function tellVolumes(facts: PodFacts): { sentences: Sentence[]; next: string | undefined } {
  const { pod, models, events, csiNode } = facts;
  const say = (...texts: string[]): Sentence[] => texts.map((text) => ({ about: "volume", text }));
  const { nodeName } = pod.spec;
  const phase = pod.status?.phase ?? "Pending";
  const unbound = models.filter(({ reference, problem }) => reference === undefined && problem);
  if (phase === "Succeeded" || phase === "Failed")
    return { sentences: say(`It has ended (${phase}): its volumes are gone.`), next: undefined };
  if (phase === "Running")
    return {
      sentences: say("Its volumes are mounted: its containers have started."),
      next: undefined,
    };
  if (unbound.length > 0) {
    const [{ claim } = { claim: undefined }] = unbound;
    const next = `kubectl -n ${pod.metadata.namespace} describe pvc ${claim ?? ""}; ballast cluster doctor tells whether the controller runs`;
    return { sentences: say("It cannot start before its claim has a volume."), next };
  }
  if (nodeName === undefined || models.length === 0) return { sentences: [], next: undefined };
  if (csiNode.refused === undefined && !knowsDriver(facts))
    return {
      sentences: say(
        `The kubelet of ${nodeName} does not know the driver ${driverName}: it mounts nothing.`,
      ),
      next: "ballast cluster doctor tells what is missing on the node",
    };
  if (events.refused !== undefined)
    return {
      sentences: say("What its volumes wait for cannot be told: this user may not read Events."),
      next: `ask somebody who may: kubectl -n ${pod.metadata.namespace} describe pod ${pod.metadata.name}`,
    };
  const told = models.flatMap((model) => {
    const message = lastMessage(facts, events.value, model);
    return message === undefined ? [] : [{ model, message }];
  });
  if (told.length === 0)
    return {
      sentences: say(
        "No Event says that a volume waits: the kubelet has just begun, or is past it.",
      ),
      next: undefined,
    };
  return {
    sentences: say(
      ...told.map(({ model: { volume }, message: { kind, text } }) =>
        kind === "waiting"
          ? `Volume ${volume} waits for its model: ${text}.`
          : `Volume ${volume} cannot be mounted: ${text}.`,
      ),
    ),
    next:
      told.find(({ message }) => message.kind === "fault")?.message.next ??
      (told.every(({ message }) => message.kind === "waiting")
        ? "nothing: the pod starts when its model is here"
        : undefined),
  };
}

function knowsDriver({ csiNode }: PodFacts): boolean {
  return csiNode.value?.spec.drivers?.some(({ name }) => name === driverName) ?? false;
}

function lastMessage(
  { pod }: PodFacts,
  events: readonly ClusterEvent[],
  { volume, persistentVolume }: PodModel,
): MountMessage | undefined {
  const namespace = pod.metadata.namespace ?? "";
  return events
    .filter(({ reason }) => reasons.has(reason ?? ""))
    .toSorted((a, b) => sayWhen(b).localeCompare(sayWhen(a)))
    .map(({ message = "" }) => readMountMessage(message, { namespace }))
    .find((message) => message.volume === volume || message.volume === persistentVolume);
}
