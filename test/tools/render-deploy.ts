// Makes what is made of the Helm chart: its values.schema.json, the table of its README, and the
// kustomizations. `node test/tools/render-deploy.ts`; a test fails while that has not been done.
import { rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { renderDeploy } from "./deploy/render.ts";
import { listRendered, makeFolders } from "./deploy/rendered-files.ts";

const repository = resolve(import.meta.dirname, "../..");
const rendered = await renderDeploy(repository);
await makeFolders(repository);
for (const path of await listRendered(repository))
  if (!rendered.has(path)) await rm(join(repository, path));
for (const [path, text] of rendered) await writeFile(join(repository, path), text);
process.stdout.write(`${rendered.size} files\n`);
