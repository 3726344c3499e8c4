import type { ContentDigest } from "../../core/digest.ts";
import { isRepository } from "../../core/reference.ts";
import type { OciLayout } from "../../oci/layout/layout.ts";
import type { Exchange } from "./exchange.ts";

/**
 * Links a blob from the repository that `from` names, or without `from` from any that has it; only
 * from those that the caller may read. False when it must be uploaded.
 */
export async function mountBlob(
  exchange: Exchange,
  layout: OciLayout,
  digest: ContentDigest,
): Promise<boolean> {
  if ((await layout.statBlob(digest)) !== undefined) return true;
  for await (const name of sourceNames(exchange, digest)) {
    const source = await exchange.state.repositories.find(name);
    if (source !== undefined && (await layout.linkBlob(digest, source.blobs))) return true;
  }
  return false;
}

async function* sourceNames(
  { state, query, mayRead }: Exchange,
  digest: ContentDigest,
): AsyncGenerator<string> {
  const from = query.get("from");
  if (from === null) yield* state.repositories.holders(digest, mayRead);
  else if (isRepository(from) && mayRead(from)) yield from;
}
