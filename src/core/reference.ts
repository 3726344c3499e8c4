import { isAbsolute, normalize } from "node:path";
import { type Digest, parseDigest } from "./digest.ts";
import { ModelError } from "./errors.ts";

/** A model in a registry: `host[:port]/repository[:tag][@digest]`. */
export interface RegistryReference {
  readonly kind: "registry";
  /** Host and, where given, port. */
  readonly host: string;
  readonly repository: string;
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
}

/** A model in an OCI image layout folder: `oci:DIR[:tag][@digest]`. */
interface LayoutReference {
  readonly kind: "layout";
  readonly directory: string;
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
}

export type Reference = RegistryReference | LayoutReference;

// distribution-spec 1.1, "Pulling manifests": <name> and <reference> as a tag.
const repositoryPattern =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const tagPattern = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const hostPattern =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?$/;

/** Tells whether `text` can be a tag. */
export function isTag(text: string): boolean {
  return tagPattern.test(text);
}

/** Tells whether `text` can be a repository name (at most 255 bytes, as registries hold it). */
export function isRepository(text: string): boolean {
  return text.length <= 255 && repositoryPattern.test(text);
}

/**
 * Parses what a user types. Throws INVALID_REFERENCE with the expected form.
 * No default host and no default tag are added here: an absent tag stays undefined.
 */
export function parseReference(text: string): Reference {
  const { rest, digest } = splitDigest(text);
  return rest.startsWith("oci:")
    ? parseLayout(text, rest.slice("oci:".length), digest)
    : parseRegistry(text, rest, digest);
}

function splitDigest(text: string): { rest: string; digest: Digest | undefined } {
  const at = text.lastIndexOf("@");
  if (at < 0 || !/^[a-z0-9+._-]+:[^/]*$/.test(text.slice(at + 1)))
    return { rest: text, digest: undefined };
  return { rest: text.slice(0, at), digest: parseDigest(text.slice(at + 1)) };
}

function parseLayout(text: string, rest: string, digest: Digest | undefined): LayoutReference {
  const colon = rest.lastIndexOf(":");
  const tag = colon > 0 && isTag(rest.slice(colon + 1)) ? rest.slice(colon + 1) : undefined;
  const directory = tag === undefined ? rest : rest.slice(0, colon);
  if (directory === "" || directory.includes("\0"))
    throw invalid(text, "an OCI layout is oci:DIR[:tag], such as oci:./exported:v1");
  return { kind: "layout", directory: normalize(directory), tag, digest };
}

function parseRegistry(text: string, rest: string, digest: Digest | undefined): RegistryReference {
  if (/^[a-z]+:\/\//i.test(rest))
    throw invalid(text, `leave out the scheme: ${rest.replace(/^[a-z]+:\/\//i, "")}`);
  if (rest.startsWith(".") || isAbsolute(rest))
    throw invalid(
      text,
      "this looks like a path; a model in a registry is host[:port]/repository[:tag]",
    );
  const slash = rest.indexOf("/");
  if (slash <= 0) throw invalid(text, "expected host[:port]/repository[:tag][@digest]");
  const host = rest.slice(0, slash);
  const name = rest.slice(slash + 1);
  const colon = name.lastIndexOf(":");
  const repository = colon < 0 ? name : name.slice(0, colon);
  const tag = colon < 0 ? undefined : name.slice(colon + 1);
  if (!hostPattern.test(host) || !(/[.:[]/.test(host) || host === "localhost"))
    throw invalid(
      text,
      `"${host}" is no registry host: write it out, such as registry.example.com/${rest}`,
    );
  if (!isRepository(repository))
    throw invalid(
      text,
      `"${repository}" is no repository name (lowercase letters, digits, ".", "_", "-" and "/")`,
    );
  if (tag !== undefined && !isTag(tag)) throw invalid(text, `"${tag}" is no tag`);
  return { kind: "registry", host, repository, tag, digest };
}

function invalid(text: string, why: string): ModelError {
  return new ModelError("INVALID_REFERENCE", `${JSON.stringify(text)} is no reference`, {
    hint: why,
  });
}

/** Where the model lives, without tag or digest: `host/repository` or `oci:DIR`. */
export function repositoryName(reference: Reference): string {
  return reference.kind === "registry"
    ? `${reference.host}/${reference.repository}`
    : `oci:${reference.directory}`;
}

/** The reference as text, the inverse of `parseReference`. */
export function formatReference(reference: Reference): string {
  const tag = reference.tag === undefined ? "" : `:${reference.tag}`;
  const digest = reference.digest === undefined ? "" : `@${reference.digest}`;
  // A folder's name may end in what would read as a tag or a digest.
  const isOdd = reference.kind === "layout" && /[:@][^/]*$/.test(reference.directory);
  return `${repositoryName(reference)}${isOdd ? "/." : ""}${tag}${digest}`;
}
