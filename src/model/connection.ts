import { resolve } from "node:path";
import { ModelError } from "../core/errors.ts";
import type { NetworkGuard } from "../core/network/network-guard.ts";
import type { RunOptions } from "../core/progress.ts";
import type { Reference, RegistryReference } from "../core/reference.ts";
import type { ContentLimits } from "../oci/limits.ts";
import type { Repository } from "../oci/repository.ts";
import type { ExplicitCredential } from "../registry/client/credentials.ts";
import type { RetryOptions } from "../registry/client/http/retry.ts";
import type { RegistryRepositoryOptions } from "../registry/client/registry-repository.ts";
import type { RegistryTimeouts } from "../registry/client/timeouts.ts";
import type { RegistryProfile } from "../registry/profiles.ts";
import type { TransferOptions } from "../transfer/transfer.ts";

/** How to reach registries; the same for every call that takes a reference. */
export interface ConnectionOptions {
  /** Speak plain HTTP; by default only to loopback hosts. */
  readonly plainHttp?: boolean | undefined;
  /** Extra certificate authorities, PEM text, trusted besides the system's. */
  readonly ca?: readonly string[] | undefined;
  readonly credentials?: ExplicitCredential | undefined;
  /**
   * Environment for docker's config.json, credential helpers, BALLAST_* credentials and proxies.
   * Pass `process.env` for what a command line would do; without it access is anonymous and direct.
   */
  readonly environment?: Readonly<Record<string, string | undefined>> | undefined;
  /** How long a registry may be silent before a request is sent again. */
  readonly timeouts?: RegistryTimeouts | undefined;
  /**
   * Where registries may send us with redirects and token realms, for programs that pull what others
   * name. Default: anywhere.
   */
  readonly guard?: NetworkGuard | undefined;
  /**
   * What is known of the registries (docs/registry-profiles.md), or the name of that. Default: by their
   * hosts. It bounds requests a minute, layers and sizes.
   */
  readonly registryProfile?: string | RegistryProfile | undefined;
}

/** Requests a call made, by who had to answer them. */
export interface RequestCounts {
  readonly registry: number;
  readonly token: number;
  readonly redirected: number;
}

export interface CallOptions extends RunOptions, ConnectionOptions {
  /** Threads and connections, either way (a push has 4 connections by default); the rest is of a pull. */
  readonly transfer?: TransferOptions | undefined;
}

/** A repository and what talking to it has cost so far. */
export interface Connection extends AsyncDisposable {
  readonly repository: Repository;
  readonly requests: RequestCounts;
  /** What it takes. */
  readonly limits: ContentLimits;
  /** What its requests had to wait for so far, a sentence each. */
  readonly pacing: readonly string[];
}

const noLimits: ContentLimits = { source: "an OCI layout folder" };
const noRequests: RequestCounts = { registry: 0, token: 0, redirected: 0 };

export interface WayOptions extends CallOptions {
  readonly writes?: boolean | undefined;
  readonly retry?: RetryOptions | undefined;
}

/**
 * Opens the repository of a reference: a registry's, or an OCI layout folder (made if it is not
 * there when `writes` is set). Rejects with NOT_FOUND for a folder that is no layout.
 */
export async function connect(reference: Reference, options: WayOptions): Promise<Connection> {
  if (reference.kind === "layout") {
    const { openLayout } = await import("../oci/layout/open-layout.ts");
    const create = options.writes === true;
    const { signal } = options;
    const name = `oci:${resolve(reference.directory)}`;
    const repository = await openLayout(reference.directory, { create, signal, name });
    const cost = { requests: noRequests, limits: noLimits, pacing: [] };
    return { repository, ...cost, [Symbol.asyncDispose]: () => dispose(repository) };
  }
  const { openRegistryRepository } = await import("../registry/client/registry-repository.ts");
  const { limitsOf } = await import("../registry/profile-for.ts");
  const way = await wayTo(reference, options);
  const repository = await openRegistryRepository(way);
  return {
    repository,
    limits: limitsOf(way.profile),
    get pacing() {
      return repository.pace.reasons;
    },
    get requests() {
      const { registry, token, redirected } = repository.requests;
      return { registry, token, redirected };
    },
    [Symbol.asyncDispose]: () => dispose(repository),
  };
}

/** What a call's options mean for one repository of a registry. Throws INVALID_ARGUMENT for an unknown profile. */
export async function wayTo(
  { host, repository }: Pick<RegistryReference, "host" | "repository">,
  options: WayOptions,
): Promise<RegistryRepositoryOptions & { readonly profile: RegistryProfile }> {
  const { profileFor } = await import("../registry/profile-for.ts");
  const { createCredentialSource } = await import("../registry/client/credentials.ts");
  const { environment = {}, credentials: explicit, plainHttp, ca, timeouts, guard } = options;
  return {
    host,
    profile: profileFor(host, options.registryProfile),
    repository,
    plainHttp,
    ca,
    credentials: createCredentialSource({ environment, explicit }),
    environment,
    timeouts,
    guard,
    retry: options.retry,
    writes: options.writes,
    connections: options.transfer?.connections,
    onPaced: (message) => options.onProgress?.({ type: "notice", message }),
  };
}

/** A repository that holds nothing yet and is only asked, never written to. */
export function emptyConnection(name: string): Connection {
  const nothing = async (): Promise<undefined> => undefined;
  const refuse = () => new ModelError("NOT_FOUND", `${name} does not exist yet`);
  const repository: Repository = {
    name,
    resolveManifest: nothing,
    fetchManifest: () => Promise.reject(refuse()),
    listTags: async () => [],
    listReferrers: async () => [],
    deleteTag: async () => false,
    deleteManifest: async () => false,
    putManifest: () => Promise.reject(refuse()),
    statBlob: nothing,
    readBlob: () => {
      throw refuse();
    },
    putBlob: () => Promise.reject(refuse()),
    mountBlob: async () => false,
    [Symbol.asyncDispose]: nothing,
  };
  const cost = { requests: noRequests, limits: noLimits, pacing: [] };
  return { repository, ...cost, [Symbol.asyncDispose]: nothing };
}

async function dispose(repository: Repository): Promise<void> {
  await repository[Symbol.asyncDispose]();
}
