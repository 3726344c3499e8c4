import type { ContentDigest } from "../../../core/digest.ts";
import { ModelError } from "../../../core/errors.ts";
import { createKeyedMutex } from "../../../core/keyed-mutex.ts";
import type { Abortable } from "../../../core/progress.ts";
import { maxManifestBytes } from "../../../oci/manifest.ts";
import { mediaTypes } from "../../../oci/media-types.ts";
import { referrersTag } from "../../../oci/referrers-tag.ts";
import { pause } from "../http/retry.ts";
import { putManifest } from "../manifests/manifest-put.ts";
import { fetchIfThere, resolveManifest } from "../manifests/manifest-reader.ts";
import type { Session } from "../session.ts";
import type { ReferrerEntry } from "./referrer-entry.ts";
import {
  emptyReferrersIndex,
  type IndexEntry,
  parseReferrersIndex,
  type ReferrersIndex,
  serializeReferrersIndex,
} from "./referrers-index.ts";

/** Referrers as an image index under a tag, where no API lists them ("Referrers Tag Schema"). */
export interface ReferrersTags {
  /** What a subject's tag lists; nothing where there is no such tag. */
  read(subject: ContentDigest, options: Abortable): Promise<ReferrersIndex>;
  /** Lists one more, and loses nobody's who writes meanwhile. Rejects with REGISTRY_UNAVAILABLE when they never stop. */
  add(referrer: ReferrerEntry, options: Abortable): Promise<void>;
  /** Takes one out, where it is listed. Rejects likewise. */
  remove(referrer: ReferrerEntry, options: Abortable): Promise<void>;
}

/** How often a list is written that others write too. */
const maxWrites = 10;
const leastPauseMs = 10;
const mostPauseMs = 10_000;

/**
 * A registry takes a tag from whoever writes last, so each writer reads again after it wrote, once
 * those who had read before must have written too, and writes what they overwrote once more.
 */
export function createReferrersTags(session: Session): ReferrersTags {
  const turns = createKeyedMutex();

  async function read(subject: ContentDigest, options: Abortable): Promise<ReferrersIndex> {
    const tag = referrersTag(subject);
    const found = await fetchIfThere(session, tag, options);
    if (found === undefined) return emptyReferrersIndex;
    const what = `referrers of ${subject} (tag ${tag} of ${session.host}/${session.repository})`;
    const limits = { maxBytes: maxManifestBytes, what, code: "INVALID_MANIFEST" } as const;
    return parseReferrersIndex(found.bytes, limits);
  }

  /** Entries that somebody overwrote; those whose manifests are gone were taken out on purpose. */
  async function overwritten(
    seen: ReadonlyMap<string, IndexEntry>,
    found: ReferrersIndex,
    options: Abortable,
  ): Promise<[string, IndexEntry][]> {
    const lost: [string, IndexEntry][] = [];
    for (const [digest, entry] of seen)
      if (!found.entries.has(digest) && (await resolveManifest(session, digest, options)))
        lost.push([digest, entry]);
    return lost;
  }

  async function write(subject: ContentDigest, index: ReferrersIndex, options: Abortable) {
    const bytes = serializeReferrersIndex(index);
    const what = `referrers of ${subject} in ${session.host}/${session.repository}`;
    if (bytes.byteLength > maxManifestBytes)
      throw new ModelError(
        "REGISTRY_LIMIT",
        `${what}: their list would be ${bytes.byteLength} bytes, more than the ${maxManifestBytes} registries take`,
        { hint: "remove some, or use a registry with the referrers API" },
      );
    const manifest = { mediaType: mediaTypes.imageIndex, bytes };
    await putManifest(session, referrersTag(subject), manifest, options);
  }

  /** Writes until what is there is what `change` makes of it, with all entries that ever were. */
  async function settleAlone(
    subject: ContentDigest,
    options: Abortable,
    change: (entries: Map<string, IndexEntry>) => void,
  ): Promise<void> {
    let seen: ReadonlyMap<string, IndexEntry> = new Map();
    for (let writes = 0; ; writes += 1) {
      const begunMs = performance.now();
      const found = await read(subject, options);
      const entries = new Map([...found.entries, ...(await overwritten(seen, found, options))]);
      change(entries);
      if (isSame(entries, found.entries)) return;
      if (writes === maxWrites)
        throw new ModelError(
          "REGISTRY_UNAVAILABLE",
          `referrers of ${subject} in ${session.host}/${session.repository}: others kept writing their list`,
          { hint: "do the same again: what is there already is not sent twice" },
        );
      await write(subject, { ...found, entries }, options);
      seen = entries;
      // Those who read before this was written, and are about as far away, have written after it.
      const tookMs = leastPauseMs + performance.now() - begunMs;
      const pauseMs = Math.min(mostPauseMs, tookMs * (2 + writes * Math.random()));
      await pause(pauseMs, options.signal);
    }
  }

  const settle: typeof settleAlone = (subject, options, change) =>
    turns.hold(subject, () => settleAlone(subject, options, change), options);

  return {
    read,
    add: ({ subject, descriptor }, options) =>
      settle(subject, options, (entries) => {
        if (!entries.has(descriptor.digest)) entries.set(descriptor.digest, { ...descriptor });
      }),
    remove: ({ subject, descriptor }, options) =>
      settle(subject, options, (entries) => void entries.delete(descriptor.digest)),
  };
}

function isSame(one: ReadonlyMap<string, unknown>, other: ReadonlyMap<string, unknown>): boolean {
  return one.size === other.size && [...one.keys()].every((digest) => other.has(digest));
}
