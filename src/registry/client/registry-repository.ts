import { ModelError } from "../../core/errors.ts";
import { hostAndPort, type NetworkGuard } from "../../core/network/network-guard.ts";
import { isRepository } from "../../core/reference.ts";
import type { BlobLocator, BlobReceiver, Repository } from "../../oci/repository.ts";
import type { RegistryProfile } from "../profiles.ts";
import { createAuthorizer } from "./auth/authorizer.ts";
import type { CredentialSource } from "./auth/credential.ts";
import { createForwarder, type Forwarded } from "./auth/forwarded.ts";
import { createBlobReader } from "./blob-reader.ts";
import { createBlobWriter } from "./blob-writer.ts";
import { registryOrigin } from "./endpoint.ts";
import { createPace, type PaceReport } from "./http/pace.ts";
import type { RetryOptions } from "./http/retry.ts";
import { openWire, type RequestCounts, type Wire } from "./http/wire.ts";
import { createManifestReader } from "./manifests/manifest-reader.ts";
import { createManifestRemover } from "./manifests/manifest-remover.ts";
import { createManifestWriter } from "./manifests/manifest-writer.ts";
import { createReferrerReader } from "./referrers/referrer-list.ts";
import { createReferrersTags } from "./referrers/referrers-tags.ts";
import { createSession, type Session } from "./session.ts";
import { listTags } from "./tag-list.ts";
import { type RegistryTimeouts, readTimeouts } from "./timeouts.ts";

export interface RegistryRepositoryOptions {
  /** `host[:port]`. */
  readonly host: string;
  readonly repository: string;
  /** Speak HTTP without TLS. Default: for loopback hosts only. */
  readonly plainHttp?: boolean | undefined;
  /** PEM text of CAs to trust beside the system's. */
  readonly ca?: string | readonly string[] | undefined;
  /** Asked only after the registry asked. Default: anonymous. */
  readonly credentials?: CredentialSource | undefined;
  /**
   * Asks for somebody who logs in himself: their Authorization goes to the registry's own origin as
   * it is, `credentials` are not looked at, and a 401 rejects with `Challenged`.
   */
  readonly onBehalfOf?: Forwarded | undefined;
  /** HTTP_PROXY, HTTPS_PROXY and NO_PROXY are read from here; never from the process. */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  readonly userAgent?: string | undefined;
  /** Connections kept to each host. Default 16. Every unread `readBlob` holds one. */
  readonly connections?: number | undefined;
  readonly retry?: RetryOptions | undefined;
  readonly timeouts?: RegistryTimeouts | undefined;
  /**
   * Where the registry may send us: its token realm, redirects, uploads. Its own host and port are
   * not judged. Default: anywhere.
   */
  readonly guard?: NetworkGuard | undefined;
  /** Whether tokens must allow pushing. Default false. */
  readonly writes?: boolean | undefined;
  /** What is known of the registry; paces requests. Default: nothing. */
  readonly profile?: RegistryProfile | undefined;
  /** Told once of each reason that requests have to wait for. */
  readonly onPaced?: ((reason: string) => void) | undefined;
  /** In what time the profile's requests are counted, in milliseconds. Default: a minute. */
  readonly paceWindowMs?: number | undefined;
}

/** A repository of a registry; `requests` counts what it cost, `pace` what it had to wait. */
export type RegistryRepository = Repository &
  BlobLocator &
  BlobReceiver & {
    readonly requests: RequestCounts;
    readonly pace: PaceReport;
  };

/** What requests to one repository go through; disposing the wire ends what is in flight. */
export interface OpenedSession {
  readonly session: Session;
  readonly wire: Wire;
  readonly pace: PaceReport;
  readonly credentials: CredentialSource | undefined;
}

/** Opens the way to one repository without the repository. Rejects like `openRegistryRepository`. */
export async function openRegistrySession(
  options: RegistryRepositoryOptions,
): Promise<OpenedSession> {
  const { host, repository } = options;
  if (!isRepository(repository))
    throw new ModelError(
      "INVALID_REFERENCE",
      `${JSON.stringify(repository.slice(0, 100))} is no repository name`,
    );
  const origin = registryOrigin(host, options.plainHttp);
  const { guard } = options;
  const { commitMs, ...timeouts } = readTimeouts(options.timeouts);
  const retry = options.retry ?? {};
  const { profile, onPaced: onReason, paceWindowMs: windowMs } = options;
  const pace = createPace({ origin, profile, retry, onReason, windowMs });
  const wire = await openWire({
    pace,
    ca: options.ca,
    environment: options.environment ?? {},
    userAgent: options.userAgent ?? "ballast",
    connections: options.connections ?? 16,
    registry: origin.host,
    guard: guard && { ...guard, allow: [hostAndPort(origin), ...(guard.allow ?? [])] },
    ...timeouts,
  });
  const { credentials, onBehalfOf } = options;
  const authorizer =
    onBehalfOf === undefined
      ? createAuthorizer({ wire, host, origin, repository, credentials })
      : createForwarder(onBehalfOf, host);
  const session = createSession({
    host,
    repository,
    origin,
    writes: options.writes ?? false,
    wire,
    authorizer,
    retry,
    commitMs,
    stallMs: timeouts.bodyMs,
  });
  return { session, wire, pace, credentials };
}

/**
 * Opens one repository over OCI distribution-spec 1.1. Nothing is sent yet. Rejects with
 * INVALID_ARGUMENT for a host, CA, proxy or guard that cannot be read and for a timeout that is no time to
 * wait, INVALID_REFERENCE for a repository name. Disposing it ends what is in flight.
 */
export async function openRegistryRepository(
  options: RegistryRepositoryOptions,
): Promise<RegistryRepository> {
  const { host, repository } = options;
  const { session, wire, pace } = await openRegistrySession(options);
  const referrersTags = createReferrersTags(session);
  return {
    name: `${host}/${repository}`,
    requests: wire.requests,
    pace,
    ...createManifestReader(session),
    ...createManifestWriter(session, referrersTags),
    ...createManifestRemover(session, referrersTags),
    ...createReferrerReader(session, referrersTags),
    ...createBlobReader(session),
    ...createBlobWriter(session),
    listTags: (listOptions) => listTags(session, listOptions),
    [Symbol.asyncDispose]: () => wire[Symbol.asyncDispose](),
  };
}
