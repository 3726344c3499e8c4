import { isRepository } from "../../core/reference.ts";
import { deleteBlob, getBlob } from "./blobs.ts";
import { ProtocolError } from "./errors.ts";
import { answerJson, type Exchange } from "./exchange.ts";
import { deleteManifest, getManifest, putManifest } from "./manifests.ts";
import { listReferrers } from "./referrers.ts";
import { listTags } from "./tags.ts";
import { cancelUpload, finishUpload, getUpload, patchUpload, startUpload } from "./uploads.ts";

type Route = (exchange: Exchange) => Promise<void>;

/** The endpoints of distribution-spec 1.1 that are offered; the first pattern that fits is taken. */
const table: readonly { readonly pattern: RegExp; readonly methods: Record<string, Route> }[] = [
  { pattern: /^\/v2\/?$/, methods: { GET: answerBase } },
  {
    pattern: /^\/v2\/(.+)\/blobs\/uploads\/?$/,
    methods: { POST: startUpload },
  },
  {
    pattern: /^\/v2\/(.+)\/blobs\/uploads\/([^/]+)$/,
    methods: {
      GET: getUpload,
      PATCH: patchUpload,
      PUT: finishUpload,
      DELETE: cancelUpload,
    },
  },
  { pattern: /^\/v2\/(.+)\/blobs\/([^/]+)$/, methods: { GET: getBlob, DELETE: deleteBlob } },
  {
    pattern: /^\/v2\/(.+)\/manifests\/([^/]+)$/,
    methods: { GET: getManifest, PUT: putManifest, DELETE: deleteManifest },
  },
  { pattern: /^\/v2\/(.+)\/tags\/list$/, methods: { GET: listTags } },
  { pattern: /^\/v2\/(.+)\/referrers\/([^/]+)$/, methods: { GET: listReferrers } },
];

/** What stands before the path where a client sends a whole URL (RFC 9112, section 3.2.2). */
const absoluteForm = /^https?:\/\/[^/]*/i;

export interface RouteMatch {
  readonly route: Route;
  readonly repository: string;
  readonly reference: string;
}

/**
 * Finds the route of a request's path, as sent. HEAD is GET without its body. Throws 404 for a path
 * that is no endpoint, 405 for a method it has not, 400 NAME_INVALID for a bad repository name.
 */
export function matchRoute(method: string, rawPath: string): RouteMatch {
  const path = decodePath(rawPath.replace(absoluteForm, ""));
  for (const { pattern, methods } of table) {
    const match = pattern.exec(path);
    if (match === null) continue;
    const [, repository, reference = ""] = match;
    if (repository !== undefined && !isRepository(repository))
      throw new ProtocolError(400, {
        code: "NAME_INVALID",
        message: "the path holds no valid repository name",
      });
    const route = methods[method === "HEAD" ? "GET" : method];
    if (route === undefined) throw notAllowed(Object.keys(methods));
    return { route, repository: repository ?? "", reference };
  }
  throw new ProtocolError(404, { code: "UNSUPPORTED", message: "no such endpoint" });
}

function answerBase(exchange: Exchange): Promise<void> {
  answerJson(exchange, {});
  return Promise.resolve();
}

/** Decoded once, before any check: a name that hides `..` behind `%2f` is then no valid name. */
export function decodePath(rawPath: string): string {
  try {
    return decodeURIComponent(rawPath);
  } catch (error) {
    if (!(error instanceof URIError)) throw error;
    throw new ProtocolError(400, { code: "NAME_INVALID", message: "the path is malformed" });
  }
}

function notAllowed(methods: readonly string[]): ProtocolError {
  const allowed = methods.flatMap((method) => (method === "GET" ? ["GET", "HEAD"] : [method]));
  return new ProtocolError(
    405,
    { code: "UNSUPPORTED", message: "the endpoint has no such method" },
    { Allow: allowed.join(", ") },
  );
}
