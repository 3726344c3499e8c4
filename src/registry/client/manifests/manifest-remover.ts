import type { ContentDigest } from "../../../core/digest.ts";
import { isModelError, ModelError } from "../../../core/errors.ts";
import type { Abortable } from "../../../core/progress.ts";
import type { FetchedManifest, ManifestRemover } from "../../../oci/repository.ts";
import { discard } from "../http/answer.ts";
import { type Removed, removalHint } from "../http/refusal.ts";
import { retrying } from "../http/retry.ts";
import { readReferrerEntry } from "../referrers/referrer-entry.ts";
import type { ReferrersTags } from "../referrers/referrers-tags.ts";
import type { Session } from "../session.ts";
import { putManifest } from "./manifest-put.ts";
import { fetchIfThere, resolveManifest } from "./manifest-reader.ts";

/** Takes tags and manifests of one repository away (distribution-spec 1.1, "Content Management"). */
export function createManifestRemover(session: Session, tags: ReferrersTags): ManifestRemover {
  const name = `${session.host}/${session.repository}`;

  /** Some take the manifest away with its tag, and so every other tag of it. */
  async function putBack(tag: string, found: FetchedManifest, options: Abortable): Promise<void> {
    const { descriptor, bytes } = found;
    if (await resolveManifest(session, descriptor.digest, options)) return;
    const { mediaType, digest } = descriptor;
    await putManifest(session, digest, { mediaType, bytes }, options);
    throw new ModelError(
      "REGISTRY_UNSUPPORTED",
      `tag ${tag} of ${name}: ${session.origin.host} took its manifest away too; it was put back as ${digest}`,
      { hint: "any other tag that it had is gone: set those again" },
    );
  }

  return {
    async deleteTag(tag, options = {}) {
      const found = await fetchIfThere(session, tag, options);
      if (found === undefined || !(await remove(session, tag, "tag", options))) return false;
      await putBack(tag, found, options);
      return true;
    },
    async deleteManifest(digest, options = {}) {
      const found = await fetchReadable(session, digest, options);
      if (found === undefined || !(await remove(session, digest, "manifest", options)))
        return false;
      const referrer =
        found === "unreadable" ? undefined : readReferrerEntry(found.descriptor, found.bytes);
      if (referrer !== undefined) await tags.remove(referrer, options);
      return true;
    },
  };
}

/** What is too damaged to be read is still to be removed. */
async function fetchReadable(
  session: Session,
  digest: ContentDigest,
  options: Abortable,
): Promise<FetchedManifest | "unreadable" | undefined> {
  try {
    return await fetchIfThere(session, digest, options);
  } catch (error) {
    if (isModelError(error, "INVALID_MANIFEST", "DIGEST_MISMATCH")) return "unreadable";
    throw error;
  }
}

/** False when it was not there any more. */
async function remove(
  session: Session,
  reference: string,
  kind: Removed,
  options: Abortable,
): Promise<boolean> {
  const { signal } = options;
  let sent = 0;
  const what = `${kind} ${reference} of ${session.host}/${session.repository}`;
  const wasThere = await retrying(session.retry, signal, async () => {
    sent += 1;
    const answer = await session.call({
      method: "DELETE",
      url: session.url(`manifests/${reference}`),
      accept: [200, 202, 204, 404],
      removes: kind,
      what,
      signal,
    });
    await discard(answer);
    return answer.status !== 404 || sent > 1; // One that failed may have removed it nevertheless.
  });
  if (!wasThere && (await resolveManifest(session, reference, options)) !== undefined)
    throw new ModelError(
      "REGISTRY_UNSUPPORTED",
      `${what}: ${session.origin.host} has it, and answered 404 to its removal`,
      { hint: removalHint(kind) },
    );
  return wasThere;
}
