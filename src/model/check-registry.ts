import { ModelError } from "../core/errors.ts";
import { parseReference, type RegistryReference } from "../core/reference.ts";
import type { Plan } from "../registry/check/plan.ts";
import type { Behaviour } from "../registry/check/run-check.ts";
import type { Verdict } from "../registry/check/verdicts.ts";
import { type CallOptions, wayTo } from "./connection.ts";
import { describeFailure } from "./failure.ts";
import { defaultTag } from "./resolve.ts";

export interface CheckRegistryOptions extends CallOptions {
  /** `host/repository`; with `readOnly` also the tag or digest of a manifest that is there. */
  readonly reference: string;
  /** Writes nothing: checks only how the named manifest and its blobs are read. */
  readonly readOnly?: boolean | undefined;
  /** Another repository of the same registry that may be written to: tries mounts between the two. */
  readonly mountFrom?: string | undefined;
  /** Goes on where the registry does not delete, so that what the check writes stays there. */
  readonly acceptLeftovers?: boolean | undefined;
  /** How long one behaviour may take, in milliseconds. Default 60000. */
  readonly probeMs?: number | undefined;
}

/** What a registry can, behaviour by behaviour and in words. */
export interface CheckRegistryResult {
  /** `host/repository`. */
  readonly name: string;
  /** Whether models can be pushed; undefined where that was not tried. */
  readonly pushes: boolean | undefined;
  readonly pulls: boolean | undefined;
  readonly verdicts: readonly Verdict[];
  readonly behaviours: readonly Behaviour[];
  /** What the check wrote and could not delete. */
  readonly left: {
    readonly tags: readonly string[];
    readonly manifests: readonly string[];
    readonly blobs: readonly string[];
    readonly uploads: number;
    readonly bytes: number;
  };
}

/**
 * Finds out what a registry can, with small content of its own that it deletes again, also when it is
 * stopped. Rejects with REGISTRY_UNSUPPORTED, before it writes, where content would stay and
 * `acceptLeftovers` is not set; with what keeps it from reaching the registry at all; with
 * INVALID_REFERENCE and INVALID_ARGUMENT.
 */
export async function checkRegistry(options: CheckRegistryOptions): Promise<CheckRegistryResult> {
  const reference = readTarget(options);
  try {
    return await check(reference, options);
  } catch (error) {
    throw describeFailure(error, "check", options.signal);
  }
}

async function check(
  reference: RegistryReference,
  options: CheckRegistryOptions,
): Promise<CheckRegistryResult> {
  const { readOnly = false, mountFrom, acceptLeftovers = false, probeMs, signal } = options;
  const { host, repository } = reference;
  const name = `${host}/${repository}`;
  const { openRegistrySession } = await import("../registry/client/registry-repository.ts");
  const { runCheck } = await import("../registry/check/run-check.ts");
  const { judge } = await import("../registry/check/verdicts.ts");
  await using cleanups = new AsyncDisposableStack();
  const open = async (path: string) => {
    const reached = { host, repository: path };
    const way = await openRegistrySession(await wayTo(reached, { ...options, writes: !readOnly }));
    cleanups.use(way.wire);
    return way;
  };
  const way = await open(repository);
  const other = mountFrom === undefined || readOnly ? undefined : await open(mountFrom);
  const { behaviours, left } = await runCheck({
    way,
    other,
    readOnly: readOnly ? (reference.digest ?? reference.tag ?? defaultTag) : undefined,
    probeMs,
    signal,
    onPlan: (plan) => {
      const kept = describeKept(plan);
      if (kept !== undefined && !acceptLeftovers) throw wouldStay(name, kept);
      const message = kept === undefined ? describeWrites(plan) : `${name} ${kept}`;
      options.onProgress?.({ type: "notice", message });
    },
  });
  const verdicts = judge(behaviours);
  const answers = (topic: string) => {
    const answer = verdicts.find((verdict) => verdict.topic === topic)?.answer;
    return answer === undefined || answer === "unknown" ? undefined : answer !== "fails";
  };
  return { name, pushes: answers("push"), pulls: answers("pull"), verdicts, behaviours, left };
}

function readTarget({
  reference: text,
  readOnly = false,
}: CheckRegistryOptions): RegistryReference {
  const reference = parseReference(text);
  if (reference.kind === "layout")
    throw new ModelError("INVALID_REFERENCE", `${text} is a folder, not a registry`, {
      hint: "name a repository of a registry: registry.example.com/team/model",
    });
  const namesManifest = reference.tag !== undefined || reference.digest !== undefined;
  if (namesManifest && !readOnly)
    throw new ModelError("INVALID_ARGUMENT", `${text} names a model: a check uses its own`, {
      hint: "leave the tag out, or only read that model: --read-only",
    });
  return reference;
}

function describeWrites({ tags, manifestBytes, blobBytes }: Plan): string {
  const bytes = manifestBytes + blobBytes;
  return `writes at most ${bytes} bytes under ${tags.length} tags of its own and deletes all of it again`;
}

/** What would stay, undefined where nothing would. */
function describeKept(plan: Plan): string | undefined {
  const { keepsManifests, keepsBlobs, tags, manifestBytes, blobBytes } = plan;
  if (keepsManifests !== undefined)
    return `deletes no manifests (${keepsManifests}): the tags ${tags.join(", ")} and at most ${manifestBytes + blobBytes} bytes stay`;
  if (keepsBlobs !== undefined)
    return `deletes no blobs (${keepsBlobs}): at most ${blobBytes} bytes that no tag names stay until it collects them`;
  return undefined;
}

function wouldStay(name: string, kept: string): ModelError {
  return new ModelError("REGISTRY_UNSUPPORTED", `${name} ${kept}`, {
    hint: "nothing was written; --yes checks it all the same, --read-only REF writes nothing",
  });
}
