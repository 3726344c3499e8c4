/** Something wrong inside one document, and where. */
export interface Problem {
  /** `spec.containers[0].name`; empty for the document itself. */
  readonly path: string;
  readonly problem: string;
}

/** The same in a file of the examples. */
export interface Fault extends Problem {
  /** As path in the examples' folder. */
  readonly file: string;
  /** `Kind name`, where it is in an object. */
  readonly object?: string | undefined;
}

/** One line: file, object, field, what is wrong. */
export function formatFault({ file, object, path, problem }: Fault): string {
  const place = [file, object, path].filter((part) => part !== undefined && part !== "");
  return `${place.join(": ")}: ${problem}`;
}

/** The path of a field or an element below `path`. */
export function below(path: string, key: string | number): string {
  if (typeof key === "number") return `${path}[${key}]`;
  const step = /^[\w-]+$/.test(key) ? key : JSON.stringify(key);
  return path === "" ? step : `${path}.${step}`;
}

/** A value that is an object of JSON. */
export type Fields = Readonly<Record<string, unknown>>;

/** Tells an object from lists, null and plain values. */
export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The list at `key`, empty where there is none. */
export function listAt(value: unknown, key: string): readonly unknown[] {
  const found = isFields(value) ? value[key] : undefined;
  return Array.isArray(found) ? found : [];
}

/** The value at the end of some keys; undefined where one is missing. */
export function at(value: unknown, ...keys: readonly string[]): unknown {
  return keys.reduce<unknown>((from, key) => (isFields(from) ? from[key] : undefined), value);
}

/** The text at the end of some keys; undefined where there is none. */
export function textAt(value: unknown, ...keys: readonly string[]): string | undefined {
  const found = at(value, ...keys);
  return typeof found === "string" ? found : undefined;
}
