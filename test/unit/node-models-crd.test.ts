import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";

interface Field {
  readonly description?: string | undefined;
  readonly properties?: Readonly<Record<string, Field>> | undefined;
  readonly items?: Field | undefined;
}

const field: v.GenericSchema<Field> = v.object({
  description: v.optional(v.string()),
  properties: v.optional(
    v.record(
      v.string(),
      v.lazy(() => field),
    ),
  ),
  items: v.optional(v.lazy(() => field)),
});
const definition = v.object({
  spec: v.object({
    versions: v.tuple([
      v.object({
        additionalPrinterColumns: v.array(v.object({ name: v.string(), jsonPath: v.string() })),
        schema: v.object({ openAPIV3Schema: field }),
      }),
    ]),
  }),
});

const file = join(import.meta.dirname, "../../deploy/kustomize/default/crd-nodemodels.yaml");
const { spec } = v.parse(definition, parse(await readFile(file, "utf8")));
const [{ additionalPrinterColumns: columns, schema }] = spec.versions;
const fields = new Map(fieldsOf(schema.openAPIV3Schema, ""));

function fieldsOf({ properties, items }: Field, path: string): (readonly [string, Field])[] {
  return Object.entries((items === undefined ? properties : items.properties) ?? {}).flatMap(
    ([name, each]) => [[`${path}.${name}`, each] as const, ...fieldsOf(each, `${path}.${name}`)],
  );
}

describe("the custom resource NodeModels", () => {
  test("explains each field of its status", () => {
    const ours = [...fields].filter(([path]) => path.startsWith(".status"));
    expect(ours.length).toBeGreaterThan(10);
    expect(ours.filter(([, { description = "" }]) => description === "")).toEqual([]);
  });

  test("shows in columns what its status has", () => {
    expect(columns.length).toBeGreaterThan(3);
    expect(columns.filter(({ jsonPath }) => !fields.has(jsonPath))).toEqual([]);
  });
});
