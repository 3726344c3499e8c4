import type { ContentDigest } from "../../core/digest.ts";
import { ModelError } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import { isIndexType } from "../../oci/manifest-types.ts";
import { readLinks } from "./links.ts";
import type { ManifestBytes } from "./manifest-bytes.ts";
import type { Side } from "./side.ts";

/**
 * The manifest of an index for `os/architecture` or `os/architecture/variant`; the first one where a
 * variant is not asked for. Rejects with NOT_FOUND when the index has none, INVALID_ARGUMENT for what
 * is no index.
 */
export async function choosePlatform(
  digest: ContentDigest,
  wanted: string,
  options: Abortable & { readonly source: Side; readonly manifests: ManifestBytes },
): Promise<ContentDigest> {
  const { source, manifests } = options;
  const what = `source ${source.repository.name}@${digest}`;
  const { descriptor, bytes } = await manifests.fetch(digest, options);
  const { manifests: offered } = readLinks(bytes, what);
  if (!isIndexType(descriptor.mediaType))
    throw new ModelError("INVALID_ARGUMENT", `${what} is no index: it has no platforms`, {
      hint: "leave out --platform",
    });
  const exact = offered.find(({ platform }) => platform === wanted);
  const found = exact ?? offered.find(({ platform }) => platform?.startsWith(`${wanted}/`));
  if (found !== undefined) return found.digest;
  const platforms = offered.flatMap(({ platform }) => platform ?? []).join(", ");
  throw new ModelError("NOT_FOUND", `${what} has nothing for ${wanted}`, {
    hint: platforms === "" ? "it names no platforms" : `it has: ${platforms}`,
  });
}
