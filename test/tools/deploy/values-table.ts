import type { ValueSchema } from "./values-schema.ts";

/** A Markdown table with a row for each value that is not a group: name, default, what it is. */
export function tabulateValues(schema: ValueSchema, defaults: unknown): string {
  const rows = rowsOf(schema, defaults, "");
  return ["| value | default | meaning |", "|---|---|---|", ...rows].join("\n");
}

function rowsOf(
  { description: of, properties = {} }: ValueSchema,
  defaults: unknown,
  path: string,
): string[] {
  return Object.entries(properties).flatMap(([name, schema]) => {
    const value: unknown = Reflect.get(Object(defaults), name);
    if (value === undefined) return [];
    const at = path === "" ? name : `${path}.${name}`;
    const group = schema.properties !== undefined && at !== "agent.config" && name !== "resources";
    if (group) return rowsOf(schema, value, at);
    const shown = at === "agent.config" ? "values.yaml" : JSON.stringify(value);
    // What is switched on or off is said of the group.
    const meaning = name === "enabled" ? [schema.description, of] : [schema.description];
    return [`| \`${at}\` | ${mark(shown)} | ${escape(meaning.join(" ").trim())} |`];
  });
}

function mark(text: string): string {
  return text === '""' ? "-" : `\`${escape(text)}\``;
}

function escape(text: string): string {
  return text.replaceAll("|", "\\|");
}
