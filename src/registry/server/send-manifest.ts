import type { FetchedManifest } from "../../oci/repository.ts";
import { requireMatch } from "./conditions.ts";
import { answerBytes, answerEmpty, type Exchange, hasCurrent } from "./exchange.ts";
import { entityTag } from "./references.ts";

/** Answers GET and HEAD with a manifest, as the media type it was pushed with. */
export function sendManifest(
  exchange: Pick<Exchange, "request" | "response">,
  { descriptor, bytes }: FetchedManifest,
): void {
  const etag = entityTag(descriptor.digest);
  const headers = { "Docker-Content-Digest": descriptor.digest, ETag: etag };
  requireMatch(exchange, etag);
  if (hasCurrent(exchange, etag)) answerEmpty(exchange, 304, headers);
  else answerBytes(exchange, bytes, { "Content-Type": descriptor.mediaType, ...headers });
}
