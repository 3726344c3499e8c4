import { existsSync } from "node:fs";
import { join } from "node:path";
import { ModelError } from "../../src/core/errors.ts";
import { repository } from "./places.ts";

/** The folder that `npm run build` makes. Throws NOT_FOUND where it has not. */
export function builtFolder(): string {
  const folder = join(repository, "dist");
  if (existsSync(join(folder, "cli.js"))) return folder;
  throw new ModelError("NOT_FOUND", `${folder} is not built`, { hint: "npm run build" });
}
