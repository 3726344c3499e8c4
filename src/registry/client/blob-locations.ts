import type { ContentDigest } from "../../core/digest.ts";
import { ModelError } from "../../core/errors.ts";
import { unlessAborted } from "../../core/unless-aborted.ts";
import { type Answer, discard } from "./http/answer.ts";
import type { Call, Session } from "./session.ts";

/** Knows where the blobs of one repository lie: with the registry, or where it redirects to. */
export interface BlobLocations {
  /**
   * Where a range starts to arrive: from where the blob is known to lie, else by way of the registry.
   * Of several calls for a blob that nobody asked for yet, one asks the registry.
   */
  open(digest: ContentDigest, call: Call): Promise<Answer>;
  /** Where the blob lies: `call.url` itself, or another place that wants no credentials. */
  locate(digest: ContentDigest, call: Call): Promise<URL>;
}

const maxKnown = 1024;
/** What storage says of a presigned URL that has expired or is gone; GCS says 400. */
const staleStatuses = new Set([400, 401, 403, 404, 410]);

export function createBlobLocations(session: Session): BlobLocations {
  /** A place apart from the registry; undefined where it serves the blob itself, or failed to say. */
  const places = new Map<ContentDigest, Promise<URL | undefined>>();
  /** Whether the registry served what it was asked for last itself: then nobody waits for anybody. */
  let servesItself = false;
  /** The first question; what it brings spares a registry that serves blobs itself all others. */
  let first: Promise<unknown> | undefined;

  function note(digest: ContentDigest, place: Promise<URL | undefined>): void {
    const [oldest] = places.size >= maxKnown ? places.keys() : [];
    if (oldest !== undefined) places.delete(oldest);
    places.set(digest, place);
  }

  /** Asks the registry; others who want the same blob meanwhile wait for what it says. */
  async function ask<T>(
    digest: ContentDigest,
    asked: () => Promise<{ readonly url: URL; readonly result: T }>,
  ): Promise<T> {
    const { promise, resolve } = Promise.withResolvers<URL | undefined>();
    if (!servesItself) note(digest, promise);
    let place: URL | undefined;
    try {
      const { url, result } = await asked();
      servesItself = url.origin === session.origin.origin;
      if (!servesItself) place = url;
      return result;
    } finally {
      resolve(place);
      if (place !== undefined) note(digest, promise);
      else forget(digest, promise);
    }
  }

  function forget(digest: ContentDigest, known: Promise<URL | undefined> | undefined): void {
    if (places.get(digest) === known) places.delete(digest);
  }

  /** Undefined when the place does not serve it any more. */
  async function openAt(place: URL, call: Call): Promise<Answer | undefined> {
    const answer = await session.callElsewhere({ ...call, url: place });
    if (call.accept.includes(answer.status)) return answer;
    await discard(answer);
    if (staleStatuses.has(answer.status) || answer.status >= 500) return undefined;
    throw new ModelError(
      "REGISTRY_PROTOCOL",
      `${call.what}: ${place.host} answered ${answer.status}`,
    );
  }

  return {
    async open(digest, call) {
      // Twice, because many may find a place stale at once, and only one of them asks again.
      for (let round = 1; round <= 2; round += 1) {
        const known = places.get(digest);
        if (known === undefined) break; // Without a wait in between: the next to come finds us asking.
        const place = await unlessAborted(known, call.signal);
        if (place === undefined) break;
        const answer = await openAt(place, call).catch((error: unknown) => {
          forget(digest, known);
          throw error;
        });
        if (answer !== undefined) {
          if (places.get(digest) === known) note(digest, Promise.resolve(answer.url));
          return answer;
        }
        if (places.get(digest) !== known) continue;
        forget(digest, known);
        break;
      }
      return ask(digest, async () => {
        const result = await session.call(call);
        return { url: result.url, result };
      });
    },

    async locate(digest, call) {
      if (first !== undefined && !servesItself && !places.has(digest))
        await unlessAborted(first, call.signal);
      const known = places.get(digest);
      if (known !== undefined) return (await unlessAborted(known, call.signal)) ?? call.url;
      if (servesItself) return call.url;
      const asked = ask(digest, async () => {
        const url = await session.locate(call);
        return { url, result: url };
      });
      first ??= Promise.allSettled([asked]);
      return asked;
    },
  };
}
