import { forEachConcurrently } from "../core/concurrently.ts";
import type { Abortable } from "../core/progress.ts";
import type { ContentDescriptor } from "../oci/descriptor.ts";
import type { ManifestReader } from "../oci/repository.ts";

/** How many manifests are asked for at once where no number is given. */
export const defaultQuestions: number = 8;

/**
 * What each of `tags` names now, in their order, by one HEAD each; a tag that went meanwhile is left
 * out.
 */
export async function resolveTags(
  repository: ManifestReader,
  tags: readonly string[],
  options: Abortable & { readonly connections?: number | undefined } = {},
): Promise<Map<string, ContentDescriptor>> {
  const found = new Map<string, ContentDescriptor>();
  await forEachConcurrently(tags, options.connections ?? defaultQuestions, async (tag) => {
    const descriptor = await repository.resolveManifest(tag, options);
    if (descriptor !== undefined) found.set(tag, descriptor);
  });
  const known = tags.map((tag) => [tag, found.get(tag)] as const);
  return new Map(known.filter((entry): entry is [string, ContentDescriptor] => Boolean(entry[1])));
}
