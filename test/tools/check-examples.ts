/**
 * Checks everything in `examples/` that can be checked without a cluster: manifests against the types
 * of Kubernetes and the definitions of custom kinds, volumes against what the driver takes, values
 * against schemas, and command lines against the command line.
 *
 *     node test/tools/check-examples.ts [--crds DIR]
 *
 * DIR holds CustomResourceDefinitions as YAML, and `<chart>.values.schema.json`. One line for each
 * fault, on standard error; exits with 1 where there is one. Without DIR custom kinds are named as not
 * checked, which is a fault where CI=true.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { appliedPaths, checkExamples } from "../support/examples/check.ts";
import { readCustomKinds } from "../support/examples/custom-kinds.ts";
import { readExamples } from "../support/examples/files.ts";
import { formatFault } from "../support/examples/problem.ts";

const repository = join(import.meta.dirname, "../..");
const { crds } = parseArgs({ options: { crds: { type: "string" } } }).values;
const definitions = crds === undefined ? undefined : resolve(crds);
const { files, faults: unread } = await readExamples(join(repository, "examples"));
const report = await checkExamples(files, {
  custom: definitions === undefined ? undefined : await readCustomKinds(definitions),
  definitions,
  chart: join(repository, "deploy/helm/ballast"),
});
const missing = appliedPaths(files)
  .filter(({ path }) => !existsSync(join(repository, path)))
  .map(({ file, path }) => `${file}: kubectl is to apply ${path}, which is not there`);
const faults = [...[...unread, ...report.faults].map(formatFault), ...missing];
for (const line of report.unchecked) console.log(line);
for (const line of faults) console.error(line);
const { objects, commands, rules, unchecked } = report;
console.log(
  `${objects} objects, ${unchecked.length} of them not checked, ${commands} command lines, ${faults.length} faults; ${rules} rules in CEL are for an API server`,
);
const incomplete = definitions === undefined && process.env["CI"] === "true";
if (incomplete) console.error("with CI=true every kind is to be checked: give --crds DIR");
if (faults.length > 0 || (incomplete && unchecked.length > 0)) process.exitCode = 1;
