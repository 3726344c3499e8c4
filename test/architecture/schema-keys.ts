/** As much of a valibot schema as its keys take. */
interface AnySchema {
  readonly type?: unknown;
  readonly wrapped?: unknown;
  readonly entries?: unknown;
  readonly item?: unknown;
  readonly options?: unknown;
}

/**
 * The paths of all fields of a schema that have no fields of their own: `a.b`, and `a[].b` in lists.
 * What is in `opaque` counts as having none.
 */
export function schemaKeys(schema: unknown, opaque: readonly unknown[] = []): string[] {
  const keys = subKeys(schema, opaque);
  if (keys.length === 0) throw new Error("a schema without fields");
  return [...new Set(keys.map((key) => key.replace(/^\./, "")))].sort();
}

function subKeys(schema: unknown, opaque: readonly unknown[]): string[] {
  if (opaque.includes(schema) || typeof schema !== "object" || schema === null) return [];
  const { wrapped, entries, item, options }: AnySchema = schema;
  if (wrapped !== undefined) return subKeys(wrapped, opaque);
  if (item !== undefined) return subKeys(item, opaque).map((key) => `[]${key}`);
  if (Array.isArray(options)) return options.flatMap((option) => subKeys(option, opaque));
  if (typeof entries !== "object" || entries === null) return [];
  return Object.entries(entries).flatMap(([name, value]) => {
    const below = subKeys(value, opaque);
    return below.length === 0 ? [`.${name}`] : below.map((key) => `.${name}${key}`);
  });
}
