import { Ajv } from "ajv";
import { unknownName } from "./nearest.ts";
import { below, isFields, type Problem } from "./problem.ts";

/** A structural schema of Kubernetes: an `openAPIV3Schema`, or a part of one. */
export type StructuralSchema = Readonly<Record<string, unknown>>;

const ajv = new Ajv({
  strict: false,
  allErrors: true,
  validateFormats: false,
  unicodeRegExp: false,
});

/** Words of JSON Schema that mean there what they mean here. */
const shared =
  "type enum pattern minLength maxLength minimum maximum multipleOf minItems maxItems uniqueItems minProperties maxProperties required anyOf oneOf allOf not".split(
    " ",
  );
const resourceFields = ["apiVersion", "kind", "metadata"];

interface Walk {
  /** With the defaults that an API server would set. */
  readonly value: unknown;
  /** JSON Schema of this very value: of what it does not have only that it is required. */
  readonly schema: Fields;
  readonly problems: readonly Problem[];
}
type Fields = Record<string, unknown>;

/**
 * Checks a value as an API server does that refuses unknown fields. Rules in CEL are not evaluated.
 * Empty when nothing is wrong.
 */
export function checkStructural(schema: StructuralSchema, value: unknown): Problem[] {
  const walk = visit({ ...schema, "x-kubernetes-embedded-resource": true }, value, "");
  const validate = ajv.compile(walk.schema);
  const refused = validate(walk.value) ? [] : (validate.errors ?? []);
  const problems = refused.map(({ instancePath, message = "is refused", params }) => ({
    path: readPointer(instancePath),
    problem: "allowedValues" in params ? `${message}: ${params["allowedValues"]}` : message,
  }));
  return [...walk.problems, ...problems];
}

/** How many rules in CEL a schema has for fields that a value has. */
export function countRules(schema: StructuralSchema, value: unknown): number {
  const own = schema["x-kubernetes-validations"];
  let count = Array.isArray(own) ? own.length : 0;
  for (const [key, each] of isFields(value) ? Object.entries(value) : [])
    count += countRules(childSchema(schema, key) ?? {}, each);
  for (const each of Array.isArray(value) ? value : [])
    count += countRules(itemSchema(schema), each);
  return count;
}

function visit(schema: StructuralSchema, value: unknown, path: string): Walk {
  if (value === null && schema["nullable"] !== true)
    return { value, schema: {}, problems: [{ path, problem: "is null: leave it out" }] };
  if (value === null) return { value, schema: {}, problems: [] };
  if (isFields(value)) return visitFields(schema, value, path);
  if (Array.isArray(value)) return visitItems(schema, value, path);
  return { value, schema: toJsonSchema(schema), problems: [] };
}

function visitFields(schema: StructuralSchema, value: Readonly<Fields>, path: string): Walk {
  const keepsUnknown = schema["x-kubernetes-preserve-unknown-fields"] === true;
  const problems: Problem[] = [];
  const known = Object.keys(isFields(schema["properties"]) ? schema["properties"] : {});
  const cleaned: Fields = {};
  const properties: Fields = {};
  for (const [key, each] of Object.entries(value)) {
    const child = childSchema(schema, key) ?? (keepsUnknown ? anything : undefined);
    if (child === undefined) {
      problems.push({ path: below(path, key), problem: unknownName("field", key, known) });
      continue;
    }
    const walk = visit(child, each, below(path, key));
    cleaned[key] = walk.value;
    properties[key] = walk.schema;
    problems.push(...walk.problems);
  }
  for (const key of known) {
    const child = childSchema(schema, key);
    if (!(key in value) && child !== undefined && "default" in child)
      cleaned[key] = child["default"];
  }
  return { value: cleaned, schema: { ...toJsonSchema(schema), properties }, problems };
}

function visitItems(schema: StructuralSchema, value: readonly unknown[], path: string): Walk {
  const walks = value.map((each, index) => visit(itemSchema(schema), each, below(path, index)));
  const items = walks.map((walk) => walk.schema);
  return {
    value: walks.map((walk) => walk.value),
    schema: { ...toJsonSchema(schema), ...(items.length === 0 ? {} : { items }) },
    problems: [
      ...findDuplicates(schema, value, path),
      ...walks.flatMap(({ problems }) => problems),
    ],
  };
}

/** Lists that are maps or sets have no element twice. */
function findDuplicates(
  schema: StructuralSchema,
  value: readonly unknown[],
  path: string,
): Problem[] {
  const kind = schema["x-kubernetes-list-type"];
  const keys = schema["x-kubernetes-list-map-keys"];
  if (kind !== "set" && kind !== "map") return [];
  const named = value.map((each) =>
    JSON.stringify(
      isFields(each) && Array.isArray(keys) ? keys.map((key) => each[String(key)] ?? null) : each,
    ),
  );
  return named.flatMap((name, index) =>
    named.indexOf(name) === index
      ? []
      : [{ path: below(path, index), problem: `stands twice: ${name}` }],
  );
}

const anything: StructuralSchema = { "x-kubernetes-preserve-unknown-fields": true };

/** The schema of a field; undefined where the object has no such field. */
function childSchema(schema: StructuralSchema, key: string): StructuralSchema | undefined {
  const { properties, additionalProperties } = schema;
  const own = isFields(properties) && Object.hasOwn(properties, key) ? properties[key] : undefined;
  if (schema["x-kubernetes-embedded-resource"] === true && resourceFields.includes(key))
    return anything;
  if (isFields(own)) return own;
  if (isFields(additionalProperties)) return additionalProperties;
  return additionalProperties === true ? anything : undefined;
}

function itemSchema(schema: StructuralSchema): StructuralSchema {
  return isFields(schema["items"]) ? schema["items"] : anything;
}

/** The same rules for one value, without what is below it. */
function toJsonSchema(schema: StructuralSchema): Fields {
  const rules = Object.fromEntries(
    shared.filter((word) => word in schema).map((word) => [word, strip(schema[word])]),
  );
  if (schema["x-kubernetes-int-or-string"] === true) {
    delete rules["type"];
    return { allOf: [rules, { type: ["integer", "string"] }] };
  }
  if (schema["exclusiveMinimum"] === true) rules["exclusiveMinimum"] = schema["minimum"];
  if (schema["exclusiveMaximum"] === true) rules["exclusiveMaximum"] = schema["maximum"];
  return rules;
}

/** Rules within `anyOf` and its like, without the words that only Kubernetes knows. */
function strip(rule: unknown): unknown {
  if (Array.isArray(rule)) return rule.map(strip);
  if (!isFields(rule)) return rule;
  return Object.fromEntries(
    Object.entries(rule)
      .filter(([word, each]) => !word.startsWith("x-kubernetes-") && typeof each !== "function")
      .filter(([word, each]) => !(word.startsWith("exclusive") && typeof each === "boolean"))
      .map(([word, each]) => [word, strip(each)]),
  );
}

/** `/spec/containers/0` as a path of fields. */
function readPointer(pointer: string): string {
  return pointer
    .split("/")
    .slice(1)
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"))
    .reduce((path, step) => below(path, /^\d+$/.test(step) ? Number(step) : step), "");
}
