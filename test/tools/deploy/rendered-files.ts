import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";

/** Folders that hold nothing but what is made of the chart. */
const folders = ["base", "default", "capabilities"].map((name) => `deploy/kustomize/${name}`);

/** Makes the folders that are not there. */
export async function makeFolders(repository: string): Promise<void> {
  for (const folder of folders) await mkdir(join(repository, folder), { recursive: true });
}

/** What lies in them now, by paths in the repository. */
export async function listRendered(repository: string): Promise<string[]> {
  const names = await Promise.all(
    folders.map(async (folder) =>
      (await readdir(join(repository, folder))).map((name) => `${folder}/${name}`),
    ),
  );
  return names.flat();
}
