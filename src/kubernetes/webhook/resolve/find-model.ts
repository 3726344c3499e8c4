import type { Digest } from "../../../core/digest.ts";
import { isModelError } from "../../../core/errors.ts";
import type { Abortable } from "../../../core/progress.ts";
import { formatReference, type RegistryReference } from "../../../core/reference.ts";
import type { ExplicitCredential } from "../../../registry/client/credentials.ts";
import { isApiError } from "../../api/api-error.ts";
import type { Finding } from "../pod/admit.ts";
import { pinKey } from "../pod/pod-group.ts";
import type { PodModel } from "../pod/pod-models.ts";
import type { ModelResolver } from "./model-resolver.ts";
import type { Pins } from "./pins.ts";

export interface FindModelOptions {
  /** Rejects INVALID_REFERENCE, and FORBIDDEN for registries that an operator does not name. */
  readonly parse: (text: string) => RegistryReference;
  readonly resolver: ModelResolver;
  readonly pins: Pins;
  /** What a claim's volume shows; undefined while that is not known. */
  readonly claimReference: (
    claim: { readonly namespace: string; readonly name: string },
    options: Abortable,
  ) => Promise<string | undefined>;
  /** Undefined where secrets are not read. */
  readonly secretCredential:
    | ((secret: {
        readonly namespace: string;
        readonly name: string;
      }) => Promise<ExplicitCredential | undefined>)
    | undefined;
}

/** The pod whose model it is. */
export interface Asker extends Abortable {
  readonly namespace: string;
  /** Who is to load the same version; undefined: nobody. */
  readonly group: readonly string[] | undefined;
  /** Nothing may be kept of it. */
  readonly dryRun: boolean;
}

/** Finds out what can be known of a volume's model until the signal ends. Never rejects. */
export async function findModel(
  model: PodModel,
  asker: Asker,
  options: FindModelOptions,
): Promise<Finding> {
  const { parse, resolver, pins, claimReference, secretCredential } = options;
  const { namespace, group, dryRun, signal } = asker;
  const { source } = model;
  const isShared = source.kind === "inline" && group !== undefined;
  let reference: RegistryReference | undefined;
  let digest: Digest | undefined;
  try {
    const text =
      source.kind === "inline"
        ? source.reference
        : await claimReference({ namespace, name: source.claim }, { signal });
    if (text === undefined) return { model, problem: "its claim has no volume of ours yet" };
    reference = parse(text);
    const secret = source.kind === "inline" ? source.secret : undefined;
    const question = {
      reference,
      namespace,
      credential: async () =>
        secret === undefined ? undefined : secretCredential?.({ namespace, name: secret }),
    };
    if (reference.digest !== undefined) digest = reference.digest;
    // What a claim names is the same for all who use it.
    else if (group === undefined || source.kind === "claim")
      digest = await resolver.digestOf(question, { signal });
    else {
      const key = pinKey(namespace, group, formatReference(reference));
      digest = await pins.pin(key, () => resolver.digestOf(question, {}), { dryRun, signal });
    }
    const bytes = await resolver.sizeOf(digest, question, { signal });
    return { model, reference, digest, isShared, bytes };
  } catch (error) {
    return { model, reference, digest, isShared, problem: describeProblem(error, signal) };
  }
}

/** Words of ours only: what another side wrote may hold anything. */
function describeProblem(error: unknown, signal: AbortSignal | undefined): string {
  if (signal?.aborted === true) return "no answer in time";
  if (isApiError(error)) return `the API server answered ${error.status}`;
  return isModelError(error) ? error.code : "unknown failure";
}
