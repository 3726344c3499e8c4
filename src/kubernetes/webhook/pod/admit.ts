import { type Digest, digestHex } from "../../../core/digest.ts";
import { formatReference, type RegistryReference } from "../../../core/reference.ts";
import type { Pod } from "../../api/objects.ts";
import { decisionAnnotation } from "../../names.ts";
import { type ModelWeight, prefersModel, termFor, weighModels } from "./affinity.ts";
import type { PodModel } from "./pod-models.ts";

/** What was found out about the model of a volume. */
export interface Finding {
  readonly model: PodModel;
  /** As far as it is known. */
  readonly reference?: RegistryReference | undefined;
  /** What the reference names, or named first to this pod's group. */
  readonly digest?: Digest | undefined;
  /**
   * Whether the pod is to name that digest: those of a controller are, so that they load one version. A
   * pod by itself is not: whoever applied it could not apply it again.
   */
  readonly isShared?: boolean | undefined;
  /** Of the whole model. */
  readonly bytes?: number | undefined;
  /** Why the digest, or the size, is not known: a few words, nothing that another side wrote. */
  readonly problem?: string | undefined;
}

/** An operation of RFC 6902. */
export interface PatchOperation {
  readonly op: "add" | "replace";
  readonly path: string;
  readonly value: unknown;
}

/** What became of a volume's model, for counting. */
export type Outcome = "pinned" | "preferred" | "small" | "shareless" | "there" | "unknown";

export interface Admission {
  /** Empty: the pod stays as it is. */
  readonly patch: readonly PatchOperation[];
  /** For people, as the annotation says it; empty where there was nothing to do. */
  readonly decision: string;
  readonly outcomes: readonly Outcome[];
}

export interface AdmitOptions {
  /** Nodes say nothing of smaller models, so nobody looks for them. */
  readonly affinityMinBytes: number;
}

const longestDecision = 1000;
const shownHexDigits = 12;

/**
 * What to change in a pod, given what is known of its models: tags become digests, nodes that have the
 * models are preferred, and an annotation says what was done, or why not. Pure. Of a pod that has all of
 * this already nothing changes.
 */
export function admit(
  pod: Pod,
  findings: readonly Finding[],
  { affinityMinBytes }: AdmitOptions,
): Admission {
  if (findings.length === 0) return { patch: [], decision: "", outcomes: [] };
  const large = findings.flatMap(({ digest, bytes }) =>
    digest !== undefined && bytes !== undefined && bytes >= affinityMinBytes
      ? [{ digest, bytes }]
      : [],
  );
  const weights = weighModels(pod.spec.affinity, large);
  const judged = findings.map((finding) => judge(finding, { pod, weights, affinityMinBytes }));
  const changes = [...findings.flatMap(pin), ...prefer(pod, weights)];
  const decision = findings
    .map(({ model }, at) => `${model.volume}: ${judged[at]?.words.join(", ") ?? ""}`)
    .join("; ")
    .slice(0, longestDecision);
  const outcomes = judged.flatMap((each) => each.outcomes);
  const said = pod.metadata.annotations?.[decisionAnnotation];
  // A second look at a pod knows less of what the first one did.
  const isSettled = said === decision || (said !== undefined && changes.length === 0);
  const patch = isSettled ? changes : [...changes, annotate(pod, decision)];
  return { patch, decision, outcomes };
}

function pin({ model: { source }, reference, digest, isShared }: Finding): PatchOperation[] {
  if (source.kind !== "inline" || reference === undefined || digest === undefined) return [];
  if (reference.digest !== undefined || isShared !== true) return [];
  const path = `/spec/volumes/${source.at}/csi/volumeAttributes/reference`;
  return [{ op: "replace", path, value: formatReference({ ...reference, digest }) }];
}

function prefer({ spec: { affinity } }: Pod, weights: readonly ModelWeight[]): PatchOperation[] {
  if (weights.length === 0) return [];
  const terms = weights.map(termFor);
  const list = "preferredDuringSchedulingIgnoredDuringExecution";
  const path = "/spec/affinity";
  const node = affinity?.nodeAffinity;
  const add = (at: string, value: unknown): PatchOperation => ({ op: "add", path: at, value });
  // The API writes null for nothing, too.
  if ((affinity ?? null) === null) return [add(path, { nodeAffinity: { [list]: terms } })];
  if ((node ?? null) === null) return [add(`${path}/nodeAffinity`, { [list]: terms })];
  if ((node?.[list] ?? null) === null) return [add(`${path}/nodeAffinity/${list}`, terms)];
  return terms.map((term) => add(`${path}/nodeAffinity/${list}/-`, term));
}

function annotate({ metadata }: Pod, decision: string): PatchOperation {
  const path = "/metadata/annotations";
  return (metadata.annotations ?? null) === null
    ? { op: "add", path, value: { [decisionAnnotation]: decision } }
    : { op: "add", path: `${path}/${decisionAnnotation.replace("/", "~1")}`, value: decision };
}

interface Judged {
  readonly words: readonly string[];
  readonly outcomes: readonly Outcome[];
}

function judge(
  finding: Finding,
  known: AdmitOptions & { readonly pod: Pod; readonly weights: readonly ModelWeight[] },
): Judged {
  const { digest, problem } = finding;
  if (digest === undefined)
    return { words: [`left alone (${problem ?? "unknown"})`], outcomes: ["unknown"] };
  const name = `sha256:${digestHex(digest).slice(0, shownHexDigits)}`;
  const pinned = pin(finding).length > 0;
  const { words, outcome } = judgePreference(finding, digest, known);
  return {
    words: [pinned ? `pinned to ${name}` : name, words],
    outcomes: pinned ? ["pinned", outcome] : [outcome],
  };
}

function judgePreference(
  { bytes, problem }: Finding,
  digest: Digest,
  known: AdmitOptions & { readonly pod: Pod; readonly weights: readonly ModelWeight[] },
): { readonly words: string; readonly outcome: Outcome } {
  const added = known.weights.find((each) => each.digest === digest);
  if (added !== undefined)
    return {
      words: `prefers nodes that have it (weight ${added.weight})`,
      outcome: "preferred",
    };
  if (prefersModel(known.pod.spec.affinity, digest))
    return { words: "the pod prefers nodes that have it already", outcome: "there" };
  if (bytes === undefined)
    return { words: `no preference (${problem ?? "unknown"})`, outcome: "unknown" };
  if (bytes < known.affinityMinBytes)
    return { words: `no preference (${bytes} bytes, too small)`, outcome: "small" };
  return { words: "no preference (other models outweigh it)", outcome: "shareless" };
}
