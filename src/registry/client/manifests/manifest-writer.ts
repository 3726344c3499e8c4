import type { ManifestWriter } from "../../../oci/repository.ts";
import { readReferrerEntry } from "../referrers/referrer-entry.ts";
import type { ReferrersTags } from "../referrers/referrers-tags.ts";
import type { Session } from "../session.ts";
import { putManifest } from "./manifest-put.ts";

/**
 * Writes manifests of one repository. One with a subject is listed under the subject's tag where the
 * registry does not say that it lists it itself ("Pushing Manifests with Subject").
 */
export function createManifestWriter(session: Session, tags: ReferrersTags): ManifestWriter {
  return {
    async putManifest(reference, manifest, options = {}) {
      const stored = await putManifest(session, reference, manifest, options);
      const { descriptor, listedSubject } = stored;
      const referrer = readReferrerEntry(descriptor, manifest.bytes);
      if (referrer !== undefined && listedSubject === undefined) await tags.add(referrer, options);
      return descriptor;
    },
  };
}
