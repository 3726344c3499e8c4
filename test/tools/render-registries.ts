import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { checkAllRegistries, renderRegistries } from "../support/registry-table.ts";

// Writes docs/registries.md from what the installed registries and the embedded one do. Takes a minute.
const path = join(import.meta.dirname, "../../docs/registries.md");
await writeFile(path, renderRegistries(await checkAllRegistries()));
