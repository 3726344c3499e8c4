import { ProtocolError } from "./errors.ts";
import type { Exchange } from "./exchange.ts";
import { isUploadPath } from "./upload-path.ts";

/** What registries differ in. Everything is offered unless it is switched off. */
export interface RegistryOffers {
  /** Off: 404 for lists of referrers, no `OCI-Subject`. Clients fall back to tags. */
  readonly referrers?: boolean | undefined;
  /** Off: `Range` is ignored, as RFC 9110 lets a server do. */
  readonly ranges?: boolean | undefined;
  /** Off: 405 for a PATCH with `Content-Range`. A blob in one PATCH, or in the PUT, is taken. */
  readonly chunked?: boolean | undefined;
  /** Off: 405 for DELETE of tags, manifests and blobs. */
  readonly deletes?: boolean | undefined;
  /** Off: a mount is answered with an upload, as where the source has no such blob. */
  readonly mounts?: boolean | undefined;
}

type Asked = Pick<Exchange, "request" | "query"> & {
  readonly method: string;
  /** Decoded. */
  readonly path: string;
};

/** Refuses what is not offered; takes what is to be ignored out of the request. */
export function requireOffered(offers: RegistryOffers, asked: Asked): void {
  const { request, query, method, path } = asked;
  if (offers.referrers === false && /\/referrers\/[^/]+$/.test(path))
    throw new ProtocolError(404, { code: "UNSUPPORTED", message: "no such endpoint" });
  if (offers.deletes === false && method === "DELETE" && !isUploadPath(path))
    throw notOffered("nothing can be deleted here");
  if (offers.chunked === false && method === "PATCH" && "content-range" in request.headers)
    throw notOffered("blobs are taken whole only");
  if (offers.ranges === false) delete request.headers.range;
  if (offers.mounts === false) for (const name of ["mount", "from"]) query.delete(name);
}

function notOffered(message: string): ProtocolError {
  return new ProtocolError(405, { code: "UNSUPPORTED", message });
}
