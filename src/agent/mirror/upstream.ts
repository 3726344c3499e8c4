import { type Digest, isDigest } from "../../core/digest.ts";
import type { Abortable } from "../../core/progress.ts";
import type { RegistryReference } from "../../core/reference.ts";
import type { Reach } from "../../model/reach.ts";
import type { RetryOptions } from "../../registry/client/http/retry.ts";
import { pingRegistry } from "../../registry/client/ping.ts";
import {
  openRegistryRepository,
  type RegistryRepository,
} from "../../registry/client/registry-repository.ts";

/** Somebody who asks a mirror. */
export interface PeerCaller {
  /** What they show a registry; undefined where they showed nothing. */
  readonly authorization: string | undefined;
  readonly address: string;
}

interface Asking extends Abortable {
  readonly caller: PeerCaller;
}

/** Registries, asked with a caller's credential only: never with the agent's own. */
export interface Upstream {
  /** The digest of a manifest; undefined where there is none. Rejects as the registry answers. */
  resolve(reference: RegistryReference, asking: Asking): Promise<Digest | undefined>;
  /** Whether a repository holds a blob. Rejects as the registry answers. */
  hasBlob(reference: RegistryReference, blob: Digest, asking: Asking): Promise<boolean>;
  /** Rejects with what a registry asks of those who log in. */
  ping(reference: RegistryReference, asking: Asking): Promise<void>;
}

/** The caller has other places to ask: an answer late is worse than none. */
const timeouts = { connectMs: 5_000, headersMs: 10_000, bodyMs: 10_000 };
const retry: RetryOptions = { attempts: 2, baseDelayMs: 200, maxRetryAfterMs: 1_000 };

/** Reaches registries as `reach` says; they hear `userAgent`. */
export function createUpstream(reach: Reach, userAgent: string): Upstream {
  function describe(reference: RegistryReference, caller: PeerCaller) {
    const subject = { namespace: "peer", pod: caller.address, uid: "" };
    const { plainHttp, ca, environment, guard } = reach.connectionFor({
      reference,
      subject,
      credential: undefined,
    });
    const { host } = reference;
    return { host, plainHttp, ca, environment, guard, userAgent, timeouts, onBehalfOf: caller };
  }

  async function use<T>(
    reference: RegistryReference,
    caller: PeerCaller,
    work: (repository: RegistryRepository) => Promise<T>,
  ): Promise<T> {
    await using repository = await openRegistryRepository({
      ...describe(reference, caller),
      repository: reference.repository,
      retry,
      connections: 1,
    });
    return await work(repository);
  }

  return {
    resolve: (reference, { caller, signal }) =>
      use(reference, caller, async (repository) => {
        const version = reference.digest ?? reference.tag ?? "latest";
        const found = (await repository.resolveManifest(version, { signal }))?.digest;
        return isDigest(found) ? found : undefined;
      }),
    hasBlob: (reference, blob, { caller, signal }) =>
      use(
        reference,
        caller,
        async (repository) => (await repository.statBlob(blob, { signal })) !== undefined,
      ),
    ping: (reference, { caller, signal }) =>
      pingRegistry({ ...describe(reference, caller), signal }),
  };
}
