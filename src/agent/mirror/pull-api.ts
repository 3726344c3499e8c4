import type { ServerResponse } from "node:http";
import { type Digest, isDigest } from "../../core/digest.ts";
import { isModelError, ModelError } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import { isTag, type RegistryReference, repositoryName } from "../../core/reference.ts";
import type { Answerer, Incoming } from "../../registry/server/conversation.ts";
import { ProtocolError } from "../../registry/server/errors.ts";
import { answerJson } from "../../registry/server/exchange.ts";
import { requireDigest } from "../../registry/server/references.ts";
import { sendBlob } from "../../registry/server/send-blob.ts";
import { sendManifest } from "../../registry/server/send-manifest.ts";
import { originOf } from "../../store/store-paths.ts";
import { type Asked, parseAsked } from "./asked.ts";
import type { HeldContent } from "./held-content.ts";
import { requirePace } from "./pace.ts";
import type { Permits } from "./permits.ts";
import { notHere, toRefusal } from "./refusals.ts";
import type { PeerCaller, Upstream } from "./upstream.ts";

export interface PullApiMeans {
  readonly held: HeldContent;
  readonly permits: Permits;
  readonly upstream: Upstream;
  /** Checks which registry is asked for. Throws a ProtocolError. */
  readonly nameRepository: (asked: Pick<Asked, "host" | "repository">) => RegistryReference;
  /** The one registry that may be read, where there is but one: `/v2/` speaks for it. */
  readonly onlyRegistry: () => string | undefined;
  /** What registries are asked as: what comes back here is known by it, whatever road it took. */
  readonly userAgent: string;
  readonly signal: AbortSignal;
}

/** A reader takes 1 MiB in this time, or is cut. */
const paceMs = 60_000;

interface Exchange extends Incoming, Abortable {
  readonly caller: PeerCaller;
}

/** Answers the pull half of distribution-spec 1.1 from what is held, to those who are permitted. */
export function createPullApi(means: PullApiMeans): Answerer {
  const { onlyRegistry, userAgent, signal: stopped } = means;
  return async (incoming) => {
    const { request, response, method, path, query } = incoming;
    if (method !== "GET" && method !== "HEAD") throw readOnly();
    if (request.headers["user-agent"] === userAgent) throw cameBack();
    const { authorization } = request.headers;
    const caller = { authorization, address: request.socket.remoteAddress ?? "" };
    const exchange = { ...incoming, caller, signal: AbortSignal.any([gone(response), stopped]) };
    const asked = parseAsked(path, query.get("ns"));
    const host = asked === "base" ? onlyRegistry() : asked.host;
    if (host === undefined) return answerJson(exchange, {});
    try {
      if (asked === "base") await answerBase(means, exchange, host);
      else await (asked.kind === "manifests" ? answerManifest : answerBlob)(means, exchange, asked);
    } catch (error) {
      throw toRefusal(error, { host, kind: asked === "base" ? "manifests" : asked.kind });
    }
  };
}

/** Clients that log in learn here how their registry wants it. */
async function answerBase(
  { nameRepository, upstream }: PullApiMeans,
  exchange: Exchange,
  host: string,
): Promise<void> {
  await upstream.ping(nameRepository({ host, repository: "any" }), exchange);
  answerJson(exchange, {});
}

async function answerManifest(
  { nameRepository, permits, held }: PullApiMeans,
  exchange: Exchange,
  asked: Asked,
): Promise<void> {
  const { version } = asked;
  const named = nameRepository(asked);
  if (!isDigest(version) && !isTag(version)) throw notHere(asked);
  const reference = isDigest(version) ? { ...named, digest: version } : { ...named, tag: version };
  const digest = await permits.forManifest(reference, exchange);
  const manifest = await held.readManifest(originOf(repositoryName(named)), digest);
  if (manifest === undefined) throw notHere(asked);
  sendManifest(exchange, manifest);
}

async function answerBlob(
  { nameRepository, permits, held }: PullApiMeans,
  exchange: Exchange,
  asked: Asked,
): Promise<void> {
  const { response, signal } = exchange;
  const reference = nameRepository(asked);
  const digest = requireDigest(asked.version);
  const origin = originOf(repositoryName(reference));
  const manifests = await held.manifestsWith(origin, digest);
  await requirePermit(permits, exchange, { reference, digest, manifests });
  using blob = await held.openBlob(origin, digest, { of: manifests, signal });
  if (blob === undefined) throw notHere(asked);
  using _ = requirePace(response, paceMs);
  await sendBlob(exchange, digest, blob);
}

/**
 * Asks for a manifest that names the blob, so that a whole pull costs one question; for the blob itself
 * where no such manifest is here, or none is left at the registry.
 */
async function requirePermit(
  permits: Permits,
  exchange: Exchange,
  {
    reference,
    digest,
    manifests,
  }: { reference: RegistryReference; digest: Digest; manifests: readonly Digest[] },
): Promise<void> {
  for (const manifest of manifests) {
    try {
      await permits.forManifest({ ...reference, digest: manifest }, exchange);
      return;
    } catch (error) {
      if (!isModelError(error, "NOT_FOUND")) throw error;
    }
  }
  await permits.forBlob(reference, digest, exchange);
}

/** Aborted when the client goes away before it has its answer. */
function gone(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished)
      controller.abort(new ModelError("CANCELLED", "the caller went away"));
  });
  return controller.signal;
}

function cameBack(): ProtocolError {
  return new ProtocolError(508, {
    code: "DENIED",
    message: "this mirror was asked by itself: a registry's name leads back to it",
  });
}

function readOnly(): ProtocolError {
  return new ProtocolError(
    405,
    { code: "UNSUPPORTED", message: "a mirror is only read" },
    { Allow: "GET, HEAD" },
  );
}
