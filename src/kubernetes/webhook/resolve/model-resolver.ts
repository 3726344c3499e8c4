import { createHash } from "node:crypto";
import type { Digest } from "../../../core/digest.ts";
import { ModelError } from "../../../core/errors.ts";
import type { Abortable } from "../../../core/progress.ts";
import {
  formatReference,
  type RegistryReference,
  repositoryName,
} from "../../../core/reference.ts";
import { unlessAborted } from "../../../core/unless-aborted.ts";
import { checkAccess } from "../../../model/access.ts";
import { type ConnectionOptions, connect } from "../../../model/connection.ts";
import { parseManifest } from "../../../oci/manifest.ts";
import { mediaTypes } from "../../../oci/media-types.ts";
import type { ExplicitCredential } from "../../../registry/client/credentials.ts";
import { createFlightCache } from "./flight-cache.ts";

/** A model, and who asks for it. */
interface ModelQuestion {
  readonly reference: RegistryReference;
  /** Of the pod: what one was told of a digest is not told to others. */
  readonly namespace: string;
  /** The pod's; undefined for nobody's, or our own where an operator says so. Asked for when needed. */
  readonly credential: () => Promise<ExplicitCredential | undefined>;
}

/** What registries say of models. Rejects as the registry does; answers and failures are kept a while. */
export interface ModelResolver {
  /** What a tag names, now or half a minute ago, to whoever asks with this credential. */
  digestOf(question: ModelQuestion, options: Abortable): Promise<Digest>;
  /**
   * About how many bytes a model has: those of its layers. A base of which not all is used makes it look
   * larger, by half at most. Rejects with UNSUPPORTED_ARTIFACT for what is no model.
   */
  sizeOf(digest: Digest, question: ModelQuestion, options: Abortable): Promise<number>;
}

export interface ModelResolverOptions {
  readonly connectionFor: (
    reference: RegistryReference,
    credential: ExplicitCredential | undefined,
  ) => ConnectionOptions;
  /** Milliseconds; for tests. */
  readonly now?: (() => number) | undefined;
}

const tagMs = 30_000;
const failureMs = 5_000;
/** A question goes on for so long, so that its answer is there for the next pod. */
const budgetMs = 8_000;
/** A namespace whose registry says nothing holds an eighth of them. */
const flights = { inAll: 64, each: 8 };
const tags = 4_096;
const sizes = 16_384;
const retry = { attempts: 2, baseDelayMs: 200, maxDelayMs: 500, maxRetryAfterMs: 1_000 };

/** Creates a resolver that knows nothing yet. */
export function createModelResolver({ connectionFor, now }: ModelResolverOptions): ModelResolver {
  const shared = { keepFailedMs: failureMs, flights, now };
  const digests = createFlightCache<Digest>({ ...shared, entries: tags, keepMs: tagMs });
  const bytes = createFlightCache<number>({
    ...shared,
    entries: sizes,
    keepMs: Number.POSITIVE_INFINITY,
  });

  async function askDigest(
    reference: RegistryReference,
    credential: ExplicitCredential | undefined,
  ): Promise<Digest> {
    const options = { ...connectionFor(reference, credential), budgetMs };
    return (await checkAccess(reference, undefined, options)).digest;
  }

  async function askSize(digest: Digest, question: ModelQuestion): Promise<number> {
    const { reference } = question;
    const signal = AbortSignal.timeout(budgetMs);
    const options = { ...connectionFor(reference, await question.credential()), retry, signal };
    await using connection = await connect(reference, options);
    const found = await connection.repository.fetchManifest(digest, { signal });
    const name = `${connection.repository.name}@${digest}`;
    const { artifactType, layers } = parseManifest(found.bytes, `manifest ${name}`);
    if (artifactType !== mediaTypes.model)
      throw new ModelError("UNSUPPORTED_ARTIFACT", `${name} is no Ballast model`, {
        hint: "push the model with `ballast push`; other artifacts cannot be read",
      });
    return layers
      .filter(({ mediaType }) => mediaType !== mediaTypes.chunkIndex)
      .reduce((sum, { size }) => sum + size, 0);
  }

  return {
    digestOf: async ({ reference, credential, namespace }, { signal }) => {
      const own = await unlessAborted(credential(), signal);
      const key = keyOf(formatReference(reference), own);
      return digests.get({ key, party: namespace }, () => askDigest(reference, own), { signal });
    },
    sizeOf: (digest, question, { signal }) => {
      const { reference, namespace } = question;
      const key = keyOf(repositoryName(reference), digest, namespace);
      return bytes.get({ key, party: namespace }, () => askSize(digest, question), { signal });
    },
  };
}

function keyOf(...parts: readonly unknown[]): string {
  return createHash("sha256")
    .update(JSON.stringify(parts.map((part) => part ?? null)))
    .digest("base64");
}
