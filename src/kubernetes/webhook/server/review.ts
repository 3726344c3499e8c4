import * as v from "valibot";
import { parseOrUndefined } from "../../../core/parse-or-undefined.ts";
import type { Pod } from "../../api/objects.ts";
import type { PatchOperation } from "../pod/admit.ts";

/** What an API server asks about a pod that is to be created (admission.k8s.io/v1). */
export interface ReviewRequest {
  readonly uid: string;
  readonly namespace: string;
  readonly dryRun: boolean;
  /** Undefined where the review is of something else. */
  readonly pod: Pod | undefined;
}

const strings = v.nullish(v.record(v.string(), v.string()));
const optionalText = v.nullish(v.string());

/** Of a pod no more than is read; other fields stay out of sight, not out of the pod. */
const podSchema = v.object({
  metadata: v.object({
    namespace: optionalText,
    labels: strings,
    annotations: strings,
    ownerReferences: v.nullish(
      v.array(
        v.object({
          apiVersion: v.string(),
          kind: v.string(),
          name: v.string(),
          uid: v.string(),
          controller: v.nullish(v.boolean()),
        }),
      ),
    ),
  }),
  spec: v.object({
    nodeName: optionalText,
    volumes: v.nullish(
      v.array(
        v.object({
          name: v.string(),
          csi: v.nullish(
            v.object({
              driver: v.string(),
              volumeAttributes: strings,
              nodePublishSecretRef: v.nullish(v.object({ name: optionalText })),
            }),
          ),
          persistentVolumeClaim: v.nullish(v.object({ claimName: v.string() })),
        }),
      ),
    ),
    affinity: v.nullish(
      v.object({
        nodeAffinity: v.nullish(
          v.object({
            preferredDuringSchedulingIgnoredDuringExecution: v.nullish(
              v.array(
                v.object({
                  weight: v.number(),
                  preference: v.object({
                    matchExpressions: v.nullish(
                      v.array(v.object({ key: v.string(), operator: v.string() })),
                    ),
                  }),
                }),
              ),
            ),
          }),
        ),
      }),
    ),
  }),
});

const reviewSchema = v.object({
  apiVersion: v.literal("admission.k8s.io/v1"),
  kind: v.literal("AdmissionReview"),
  request: v.object({
    uid: v.pipe(v.string(), v.minLength(1), v.maxLength(256)),
    namespace: optionalText,
    operation: v.string(),
    dryRun: v.nullish(v.boolean()),
    resource: v.object({ group: v.string(), resource: v.string() }),
    subResource: optionalText,
    object: v.unknown(),
  }),
});

/** Reads the body of a review; undefined where it is none. */
export function parseReview(body: string): ReviewRequest | undefined {
  const parsed = v.safeParse(reviewSchema, parseOrUndefined(body));
  if (!parsed.success) return undefined;
  const { request } = parsed.output;
  const { uid, operation, resource, subResource } = request;
  const isPod = resource.group === "" && resource.resource === "pods" && (subResource ?? "") === "";
  const pod = isPod && operation === "CREATE" ? v.safeParse(podSchema, request.object) : undefined;
  return {
    uid,
    namespace: request.namespace ?? "",
    dryRun: request.dryRun === true,
    // Null is nothing: what the API leaves out and what it writes as null mean the same.
    pod: pod?.success === true ? (withoutNull(pod.output) as Pod) : undefined,
  };
}

/** The answer: allowed, always. */
export function answerReview(uid: string, patch: readonly PatchOperation[]): string {
  const changes =
    patch.length === 0
      ? {}
      : {
          patchType: "JSONPatch",
          patch: Buffer.from(JSON.stringify(patch)).toString("base64"),
        };
  const response = { uid, allowed: true, ...changes };
  return JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response });
}

function withoutNull(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNull);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, each]) =>
      each === null || each === undefined ? [] : [[key, withoutNull(each)]],
    ),
  );
}
