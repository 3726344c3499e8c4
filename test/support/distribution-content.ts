import { readdir } from "node:fs/promises";
import { join } from "node:path";

/**
 * What the repositories of a distribution registry (2.8 or 3) under `root` hold, from its own files:
 * links of layers, manifests and tags, and bytes of uploads that did not end.
 */
export async function listContent(root: string): Promise<string[]> {
  const repositories = join(root, "docker/registry/v2/repositories");
  const files = await readdir(repositories, { recursive: true }).catch(() => []);
  return files.filter((file) => /\/(?:link|data)$/.test(file)).sort();
}
