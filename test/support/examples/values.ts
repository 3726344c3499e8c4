import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { Ajv } from "ajv";
import { undefinedIfMissing } from "../../../src/core/absence.ts";
import { unknownName } from "./nearest.ts";
import type { Problem } from "./problem.ts";
import { checkVolumes } from "./volumes.ts";

/** What was found out about a chart's values. */
export interface ValuesVerdict {
  readonly problems: readonly Problem[];
  readonly unchecked?: string | undefined;
}

/**
 * Checks `<chart>.values.yaml` against the schema of the chart's values: ours lies in the chart, that
 * of another in the folder of definitions as `<chart>.values.schema.json`.
 */
export async function checkValues(
  file: string,
  values: unknown,
  { chart, definitions }: { chart: string; definitions: string | undefined },
): Promise<ValuesVerdict> {
  const name = basename(file, ".values.yaml");
  const volumes = checkVolumes(values);
  if (name !== "ballast" && definitions === undefined)
    return { problems: volumes, unchecked: "no schemas were given" };
  const path =
    name === "ballast"
      ? join(chart, "values.schema.json")
      : join(definitions ?? "", `${name}.values.schema.json`);
  const text = await readFile(path, "utf8").catch(undefinedIfMissing);
  if (text === undefined)
    return { problems: [{ path: "", problem: `there is no schema ${path}` }, ...volumes] };
  return { problems: [...validateValues(JSON.parse(text), values), ...volumes] };
}

/** What a JSON schema says of values. */
export function validateValues(schema: object, values: unknown): Problem[] {
  const validate = new Ajv({
    strict: false,
    allErrors: true,
    verbose: true,
    validateFormats: false,
  }).compile(schema);
  if (validate(values)) return [];
  return (validate.errors ?? []).map(
    ({ instancePath, message = "is refused", params, parentSchema }) => {
      const path = instancePath.slice(1).replaceAll("/", ".");
      const extra: unknown = params["additionalProperty"];
      const known = Object.keys(Object(parentSchema?.["properties"]));
      return {
        path,
        problem: typeof extra === "string" ? unknownName("field", extra, known) : message,
      };
    },
  );
}
