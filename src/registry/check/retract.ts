import { forEachConcurrently } from "../../core/concurrently.ts";
import type { ContentDigest } from "../../core/digest.ts";
import { acceptManifests } from "./deeds.ts";
import { createGround, type Ground, type Question, type Site } from "./ground.ts";
import type { Written } from "./ledger.ts";

/** What of a check is in the registry. */
export interface Leftovers {
  readonly tags: readonly string[];
  readonly manifests: readonly ContentDigest[];
  readonly blobs: readonly ContentDigest[];
  /** Upload sessions that were not taken back; a registry forgets them by itself. */
  readonly uploads: number;
  /** Of manifests and blobs. */
  readonly bytes: number;
}

const lanes = 4;

/**
 * Takes back all that the ledger of a site knows of, and resolves to what is there all the same.
 * Never rejects: of what cannot be asked about it says that it stays.
 */
export async function retract(site: Site, signal: AbortSignal): Promise<Leftovers> {
  const ground = createGround(site, signal);
  const { ledger } = site;
  await forEachConcurrently([...ledger.uploads], lanes, async (upload) => {
    const { url: at, where } = upload;
    const status = await statusOf(ground, { method: "DELETE", at, where });
    if (status !== undefined && (status < 300 || status === 404)) ledger.uploads.delete(upload);
  });
  // Indexes before what they name.
  const manifests = [...ledger.manifests].reverse();
  const keptManifests: Written[] = [];
  for (const written of manifests)
    if (await stays(ground, `manifests/${written.digest}`, written)) keptManifests.push(written);
  const keptTags: string[] = [];
  await forEachConcurrently(ledger.tags, lanes, async (tag) => {
    if (await stays(ground, `manifests/${tag}`, { where: "here" })) keptTags.push(tag);
  });
  const keptBlobs: Written[] = [];
  await forEachConcurrently(ledger.blobs, lanes, async (written) => {
    if (await stays(ground, `blobs/${written.digest}`, written)) keptBlobs.push(written);
  });
  return {
    tags: keptTags.sort(),
    manifests: keptManifests.map(({ digest }) => digest),
    blobs: keptBlobs.map(({ digest }) => digest),
    uploads: ledger.uploads.size,
    bytes: [...keptManifests, ...keptBlobs].reduce((sum, { size }) => sum + size, 0),
  };
}

/** Deletes something, and tells whether it is there after that. */
async function stays(
  ground: Ground,
  at: string,
  { where }: Pick<Written, "where">,
): Promise<boolean> {
  await statusOf(ground, { method: "DELETE", at, where });
  // Some do not have a manifest for who does not accept its type.
  const headers = { accept: acceptManifests };
  return (await statusOf(ground, { method: "HEAD", at, where, headers })) !== 404;
}

async function statusOf(ground: Ground, question: Question): Promise<number | undefined> {
  try {
    return (await ground.ask(question)).status;
  } catch {
    return undefined; // Then it counts as there.
  }
}
