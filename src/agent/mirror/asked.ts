import { isRepository } from "../../core/reference.ts";
import { ProtocolError } from "../../registry/server/errors.ts";
import { decodePath } from "../../registry/server/routes.ts";

/** What a path of the pull API asks for. */
export interface Asked {
  readonly kind: "manifests" | "blobs";
  /** Host and, where given, port; NOT checked. */
  readonly host: string;
  readonly repository: string;
  /** Tag or digest, NOT checked. */
  readonly version: string;
}

/**
 * Reads a path: `/v2/<host>/<repository>/...`, where a port may follow the host after `:` or, for
 * clients that take no `:` in names, after `_`; or containerd's `/v2/<repository>/...?ns=<host>`.
 * Returns `base` for `/v2/`. Throws 404 for what a mirror does not offer, 400 NAME_INVALID.
 */
export function parseAsked(rawPath: string, namespace: string | null): Asked | "base" {
  const path = decodePath(rawPath);
  if (/^\/v2\/?$/.test(path)) return "base";
  const [, name, kind, version = ""] = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/.exec(path) ?? [];
  if (name === undefined || (kind !== "manifests" && kind !== "blobs"))
    throw new ProtocolError(404, {
      code: "UNSUPPORTED",
      message: "a mirror offers manifests and blobs",
    });
  const { host, repository } =
    namespace === null ? splitName(name) : { host: namespace, repository: name };
  if (!isRepository(repository))
    throw new ProtocolError(400, {
      code: "NAME_INVALID",
      message: "the path holds no valid repository name",
    });
  return { kind, host, repository, version };
}

/** "_" cannot be in a host's name. */
function splitName(name: string): { host: string; repository: string } {
  const slash = name.indexOf("/");
  if (slash < 0)
    throw new ProtocolError(404, {
      code: "NAME_UNKNOWN",
      message: "say which registry: /v2/<host>/<repository>/..., or ?ns=<host>",
    });
  const host = name.slice(0, slash).replace(/_(\d{1,5})$/, ":$1");
  return { host, repository: name.slice(slash + 1) };
}
