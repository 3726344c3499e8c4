import { join } from "node:path";

/** The root of the repository. */
export const repository: string = join(import.meta.dirname, "../..");

/** What was downloaded for packages: each is whole once it is there, and safe to remove. */
export const downloadsFolder: string = join(repository, ".cache/package");
