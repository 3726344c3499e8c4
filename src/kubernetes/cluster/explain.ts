import type { Digest } from "../../core/digest.ts";
import { ModelError } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import { isApiError } from "../api/api-error.ts";
import type { ClusterApi } from "../api/cluster-api.ts";
import { labelKey } from "../names.ts";
import type { NodeModel } from "../node-models.ts";
import type { CsiNode } from "./facts/cluster-facts.ts";
import { lookAtNodes } from "./facts/cluster-nodes.ts";
import { look, lookAtAll } from "./facts/known.ts";
import { listReports } from "./facts/list-reports.ts";
import { lookAtEvents } from "./facts/pod-events.ts";
import { tellHint } from "./story/hint.ts";
import { readHintTerms } from "./story/hint-terms.ts";
import { findPlaces, tellModels } from "./story/models.ts";
import { tellPlacement } from "./story/placement.ts";
import type { ExplainedPod, PodFacts, Sentence } from "./story/pod-facts.ts";
import { readPodModels } from "./story/pod-models.ts";
import { tellVolumes } from "./story/volumes.ts";

/** Why a pod runs where it runs, and what it waits for. */
export interface PodExplanation {
  readonly namespace: string;
  readonly pod: string;
  readonly phase: string;
  readonly node: string | undefined;
  readonly scheduler: string;
  readonly models: readonly {
    readonly volume: string;
    readonly claim: string | undefined;
    readonly reference: string | undefined;
    readonly digest: Digest | undefined;
    /** What the pod's node reports of it. */
    readonly here: NodeModel | undefined;
    /** Nodes that report all of it. */
    readonly readyOn: readonly string[];
  }[];
  /** In the order in which they are to be read. */
  readonly sentences: readonly Sentence[];
  readonly next: string | undefined;
}

export interface ExplainOptions extends Abortable {
  readonly namespace: string;
  readonly pod: string;
}

/**
 * Explains a pod from what the cluster says of it and of its nodes. Reads only; what the user may not
 * read is said so. Rejects with NOT_FOUND where there is no such pod, with FORBIDDEN where it may not be
 * read.
 */
export async function explainPod(
  api: ClusterApi,
  { namespace, pod: name, signal }: ExplainOptions,
): Promise<PodExplanation> {
  return tellStory(await lookAtPod(api, { namespace, pod: name, signal }));
}

/** Puts what is known of a pod into sentences. */
export function tellStory(facts: PodFacts): PodExplanation {
  const { pod, models } = facts;
  const volumes = tellVolumes(facts);
  const none: Sentence[] =
    models.length > 0
      ? []
      : [{ about: "model", text: "It has no volume of Ballast: nothing of ours concerns it." }];
  return {
    namespace: pod.metadata.namespace ?? "",
    pod: pod.metadata.name ?? "",
    phase: pod.status?.phase ?? "Pending",
    node: pod.spec.nodeName,
    scheduler: pod.spec.schedulerName ?? "default-scheduler",
    models: models.map((model) => {
      const { volume, claim, reference, digest } = model;
      const { here, readyOn } = findPlaces(facts, model);
      return { volume, claim, reference, digest, here, readyOn };
    }),
    sentences: [
      ...tellPlacement(facts),
      ...tellHint(facts),
      ...tellModels(facts),
      ...none,
      ...volumes.sentences,
    ],
    next: volumes.next,
  };
}

async function lookAtPod(
  api: ClusterApi,
  { namespace, pod: name, signal }: ExplainOptions,
): Promise<PodFacts> {
  const options = { signal };
  const pod = await readPod(api, { namespace, pod: name, signal });
  const { nodeName } = pod.spec;
  const csiPath = `/apis/storage.k8s.io/v1/csinodes/${nodeName ?? ""}`;
  const models = await readPodModels(api, pod, options);
  const labels = new Set([
    ...models.flatMap(({ digest }) => (digest === undefined ? [] : [labelKey(digest)])),
    ...readHintTerms(pod).ours.map(({ label }) => label),
  ]);
  const [events, nodes, reports, csiNode] = await Promise.all([
    lookAtEvents(api, namespace, name, options),
    lookAtNodes(api, options),
    lookAtAll(() => listReports(api, (model) => labels.has(labelKey(model.digest)), options)),
    look<CsiNode | undefined>(async () =>
      nodeName === undefined
        ? undefined
        : api.call<CsiNode>({ method: "GET", path: csiPath }, options),
    ),
  ]);
  return { now: Date.now(), pod, models, events, nodes, reports, csiNode };
}

async function readPod(
  api: ClusterApi,
  { namespace, pod, signal }: ExplainOptions,
): Promise<ExplainedPod> {
  const path = `/api/v1/namespaces/${namespace}/pods/${pod}`;
  try {
    return await api.call<ExplainedPod>({ method: "GET", path }, { signal });
  } catch (error) {
    if (isApiError(error, 404))
      throw new ModelError("NOT_FOUND", `there is no pod ${namespace}/${pod} at ${api.server}`, {
        hint: `kubectl -n ${namespace} get pods lists them; --context chooses another cluster`,
        cause: error,
      });
    if (isApiError(error, 403))
      throw new ModelError("FORBIDDEN", `this user may not read pods of ${namespace}`, {
        hint: `an administrator grants it: kubectl -n ${namespace} create rolebinding ballast-view --clusterrole=view --user=NAME`,
        cause: error,
      });
    throw error;
  }
}
