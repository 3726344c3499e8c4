import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/**
 * The blobs that a repository of distribution (2.8 or 3) holds under `root`, with their sizes, read
 * from its own files: none where the repository does not exist.
 */
export async function listBlobs(root: string, repository: string): Promise<Map<string, number>> {
  const registry = join(root, "docker/registry/v2");
  const links = join(registry, "repositories", repository, "_layers/sha256");
  const names = await readdir(links).catch(() => []);
  const blobs = names.map(async (hex): Promise<[string, number]> => {
    const blob = join(registry, "blobs/sha256", hex.slice(0, 2), hex, "data");
    return [`sha256:${hex}`, (await stat(blob)).size];
  });
  return new Map(await Promise.all(blobs));
}

/** The same for the embedded registry (docs/registry.md, "On disk"), where manifests are blobs too. */
export async function listEmbeddedBlobs(
  root: string,
  repository: string,
): Promise<Map<string, number>> {
  const folder = join(root, repository.replaceAll("/", "+"), "blobs/sha256");
  const names = await readdir(folder).catch(() => []);
  const blobs = names.map(async (hex): Promise<[string, number]> => {
    return [`sha256:${hex}`, (await stat(join(folder, hex))).size];
  });
  return new Map(await Promise.all(blobs));
}
