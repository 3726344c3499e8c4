import { labelKey } from "../../names.ts";
import type { NodeModel, NodeModels } from "../../node-models.ts";
import { nameOf } from "../facts/cluster-nodes.ts";
import { someOf } from "../finding.ts";
import { readHintTerms } from "./hint-terms.ts";
import type { PodFacts, PodModel, Sentence } from "./pod-facts.ts";

/** What nodes say of a model of a pod. */
export interface ModelPlaces {
  /** What the pod's node has of it; undefined without a node, or where it reports nothing of it. */
  readonly here: NodeModel | undefined;
  /** Whether the pod's node reports at all. */
  readonly isReported: boolean;
  /** Nodes that report all of it. */
  readonly readyOn: readonly string[];
}

/** Looks a model up in the reports of nodes; one that is named by a tag, by what the pod prefers. */
export function findPlaces(facts: PodFacts, { digest }: PodModel): ModelPlaces {
  const { pod, reports, models } = facts;
  const unpinned = models.filter((each) => each.digest === undefined).length;
  const pinned = new Set(models.flatMap((each) => (each.digest ? [labelKey(each.digest)] : [])));
  const free = readHintTerms(pod).ours.filter(({ label }) => !pinned.has(label));
  const label =
    digest !== undefined ? labelKey(digest) : unpinned === 1 ? free[0]?.label : undefined;
  const all = reports.value ?? [];
  const of = ({ status }: NodeModels) =>
    status?.models.find((each) => labelKey(each.digest) === label);
  const own = all.find((report) => nameOf(report) === pod.spec.nodeName);
  return {
    here: own === undefined ? undefined : of(own),
    isReported: own?.status !== undefined,
    readyOn: all.filter((report) => of(report)?.state === "ready").map(nameOf),
  };
}

/** What is known of each model: here, and elsewhere. */
export function tellModels(facts: PodFacts): Sentence[] {
  return facts.models.map((model) => ({ about: "model", text: tellModel(facts, model) }));
}

function tellModel(facts: PodFacts, model: PodModel): string {
  const { reports, pod } = facts;
  const name = model.claim === undefined ? model.volume : `${model.volume} (claim ${model.claim})`;
  if (model.reference === undefined)
    return `Volume ${name}: ${model.problem ?? "it names no model"}.`;
  const is = `Volume ${name} is ${model.reference}`;
  if (reports.refused !== undefined)
    return `${is}; where that is cannot be told: this user may not list NodeModels.`;
  const { here, isReported, readyOn } = findPlaces(facts, model);
  const elsewhere =
    readyOn.length === 0 ? "no node has all of it" : `all of it is on ${someOf(readyOn)}`;
  const { nodeName } = pod.spec;
  if (model.digest === undefined && here === undefined && readyOn.length === 0)
    return `${is}, a tag: which model that is, only the registry knows.`;
  if (nodeName === undefined) return `${is}; ${elsewhere}.`;
  if (!isReported) return `${is}; node ${nodeName} reports nothing; ${elsewhere}.`;
  if (here === undefined) return `${is}; ${nodeName} has nothing of it; ${elsewhere}.`;
  return `${is}; ${nodeName} ${sayState(here)}.`;
}

function sayState({ state, bytes, totalBytes }: NodeModel): string {
  if (state === "ready") return "has all of it";
  const share = totalBytes ? `${Math.floor((100 * bytes) / totalBytes)} %` : `${bytes} bytes`;
  if (state === "pulling") return `is fetching it and has ${share}`;
  return state === "partial" ? `has ${share} of it` : `failed to fetch it and has ${share}`;
}
