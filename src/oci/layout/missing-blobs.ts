import type { ContentDigest } from "../../core/digest.ts";
import { ModelError } from "../../core/errors.ts";

/** BLOB_UNKNOWN with every digest that a manifest names and that is not there. */
export class MissingBlobs extends ModelError {
  readonly missing: readonly ContentDigest[];

  /** `missing` holds at least one digest. */
  constructor(what: string, missing: readonly ContentDigest[]) {
    const more = missing.length > 1 ? ` and ${missing.length - 1} more` : "";
    super("BLOB_UNKNOWN", `${what} names ${missing[0]}${more}, which is not there`, {
      hint: "write the blobs before the manifest that names them",
    });
    this.missing = missing;
  }
}
