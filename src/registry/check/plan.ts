import { referrersTag } from "../../oci/referrers-tag.ts";
import { createGround, makeContent, type Site } from "./ground.ts";
import type { Probe } from "./probe.ts";
import { describe } from "./said.ts";

/** What a check would write, and what of it the registry would keep. */
export interface Plan {
  readonly tags: readonly string[];
  readonly manifestBytes: number;
  readonly blobBytes: number;
  /** Why manifests and tags, or blobs, would stay; undefined where they can be deleted. */
  readonly keepsManifests: string | undefined;
  readonly keepsBlobs: string | undefined;
}

/** What a probe may leave behind where nothing can be deleted. */
const mostKeptBytes = 65_536;

/** Sums up what probes would write, and asks the registry, without writing, whether it deletes. */
export async function planCheck(
  site: Site,
  probes: readonly Probe[],
  signal: AbortSignal,
): Promise<Plan> {
  const ground = createGround(site, signal);
  // Of what is not there: a registry that deletes says 404, one that does not says so.
  const ask = async (kind: "manifests" | "blobs") => {
    const said = await ground.ask({ method: "DELETE", at: `${kind}/${makeContent(16).digest}` });
    return said.status === 404 || said.status < 300 ? undefined : describe(said);
  };
  const keepsManifests = await ask("manifests");
  // Blobs that a manifest names are not given up either.
  const keepsBlobs = (await ask("blobs")) ?? keepsManifests;
  const kept = probes.filter((probe) => !isTooLarge(probe, { keepsManifests, keepsBlobs }));
  const writes = kept.flatMap((probe) => probe.writes ?? []);
  const suffixes = writes.flatMap(({ tags = [] }) => tags.map((tag) => `${site.name}-${tag}`));
  const fallback = writes.some((each) => each.fallbackTag === true)
    ? [referrersTag(site.absent)]
    : [];
  return {
    tags: [...suffixes, ...fallback].sort(),
    manifestBytes: writes.reduce((sum, { manifestBytes = 0 }) => sum + manifestBytes, 0),
    blobBytes: writes.reduce((sum, { blobBytes = 0 }) => sum + blobBytes, 0),
    keepsManifests,
    keepsBlobs,
  };
}

/** Whether a probe writes more than should stay where the registry keeps it. */
export function isTooLarge(
  { writes = {} }: Probe,
  { keepsManifests, keepsBlobs }: Pick<Plan, "keepsManifests" | "keepsBlobs">,
): boolean {
  const { manifestBytes = 0, blobBytes = 0 } = writes;
  return (
    (keepsManifests !== undefined && manifestBytes > mostKeptBytes) ||
    (keepsBlobs !== undefined && blobBytes > mostKeptBytes)
  );
}
