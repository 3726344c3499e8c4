import { type ContentDigest, isContentDigest } from "../../core/digest.ts";
import { ModelError } from "../../core/errors.ts";
import { parseReference, type Reference } from "../../core/reference.ts";
import type { ConnectionOptions } from "../connection.ts";
import type { CopyOptions } from "../copy.ts";

/** Both ends of a copy, and how to reach each. */
export interface Ends {
  readonly source: Reference;
  /** A digest of the source that is not sha256. */
  readonly digest: ContentDigest | undefined;
  readonly target: Reference;
  readonly from: ConnectionOptions;
  readonly to: ConnectionOptions;
}

/** Credentials of the surroundings that say of no host that they are for it. */
const hostless = ["BALLAST_USERNAME", "BALLAST_PASSWORD", "BALLAST_TOKEN"];

/**
 * Reads where a copy goes from and to. Throws INVALID_REFERENCE, or INVALID_ARGUMENT for choices that
 * do not go together. Credentials that are for every host reach neither of two different ones.
 */
export function readEnds(options: CopyOptions): Ends {
  const { source, digest } = parseSource(options.source);
  const target = parseReference(options.target);
  if (target.digest !== undefined)
    throw new ModelError("INVALID_REFERENCE", `target ${options.target} names a digest`, {
      hint: "name a tag, or nothing: a copy has its source's digest",
    });
  const isNamed = source.tag !== undefined || source.digest !== undefined || digest !== undefined;
  if (options.allTags === true && (isNamed || target.tag !== undefined))
    throw new ModelError("INVALID_ARGUMENT", "all tags are to be copied, and one is named", {
      hint: "leave out the tag on both sides, or --all-tags",
    });
  const environment = environmentFor(source, target, options);
  const { ca, timeouts, guard } = options;
  const shared = { ca, timeouts, guard, environment };
  const from = { ...shared, ...options.from, environment };
  const to = { ...shared, ...options.to, environment };
  return { source, digest, target, from, to };
}

/** References hold sha256 digests; what others made may have others. */
function parseSource(text: string): Pick<Ends, "source" | "digest"> {
  const [, rest = "", digest = ""] = /^(.*)@(sha512:[^@/]*)$/.exec(text) ?? [];
  return isContentDigest(digest)
    ? { source: parseReference(rest), digest }
    : { source: parseReference(text), digest: undefined };
}

function environmentFor(
  source: Reference,
  target: Reference,
  { environment = {}, onProgress, from, to }: CopyOptions,
): NonNullable<ConnectionOptions["environment"]> {
  const areTwo =
    source.kind === "registry" && target.kind === "registry" && source.host !== target.host;
  const set = hostless.filter((name) => Boolean(environment[name]));
  if (!areTwo || set.length === 0) return environment;
  if (from?.credentials === undefined && to?.credentials === undefined) {
    const message = `${set.join(" and ")} are not used: they do not say for which of ${source.host} and ${target.host}. Log in with \`ballast login\`, or say --from-username or --to-username`;
    onProgress?.({ type: "warning", message });
  }
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => !hostless.includes(name)),
  );
}
