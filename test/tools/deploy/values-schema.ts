import { type Document, isMap, isScalar, type Pair, type YAMLMap } from "yaml";
import { configSchema, defaultConfig } from "../../../src/agent/config.ts";
import { schemaKeys } from "../../architecture/schema-keys.ts";

/** A JSON schema, as far as charts need it. */
export interface ValueSchema {
  readonly $schema?: string;
  readonly title?: string;
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly (string | boolean)[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly items?: ValueSchema;
  readonly properties?: Readonly<Record<string, ValueSchema>>;
  readonly additionalProperties?: boolean | ValueSchema;
}

const text: ValueSchema = { type: "string" };
/** Paths go into a shell's words, too. */
const absolutePath: ValueSchema = { pattern: "^(/[A-Za-z0-9._-]+)+$" };
const flag: ValueSchema = { type: ["boolean", "string"] };

/** What a default cannot tell. */
const rules: Readonly<Record<string, ValueSchema>> = {
  "image.repository": { pattern: "^[^:@]+(:[0-9]+/[^:@]+)?$" },
  "image.pullPolicy": { enum: ["Always", "IfNotPresent", "Never"] },
  "image.digest": { pattern: "^(sha256:[0-9a-f]{64})?$" },
  kubeletRoot: absolutePath,
  storePath: absolutePath,
  runPath: absolutePath,
  "csi.privilege": { enum: ["privileged", "capabilities"] },
  // To YAML 1.1, which Helm reads, off is a boolean.
  "reporter.labels": { type: ["string", "boolean"], enum: ["affinity", "off", false] },
  storageClasses: {
    items: {
      type: "object",
      additionalProperties: false,
      properties: {
        name: text,
        reference: text,
        include: text,
        exclude: text,
        warm: flag,
        mode: text,
        secret: {
          type: "object",
          additionalProperties: false,
          properties: { name: text, namespace: text },
        },
        reclaimPolicy: { enum: ["Delete", "Retain"] },
        volumeBindingMode: { enum: ["Immediate", "WaitForFirstConsumer"] },
      },
    },
  },
  "agent.env": { additionalProperties: text },
  "agent.authorities.certificates": { additionalProperties: text },
};

/** Values that say the same in every part. */
const common: Readonly<Record<string, string>> = {
  enabled: "Whether it is installed.",
  replicas: "How many of it run; one works, the others wait or share.",
  nodeSelector: "Nodes to run on.",
  podAnnotations: "Annotations of its pods.",
  priorityClassName: "Its priority; empty: none.",
  resources: "Of its one container.",
  tolerations: "Taints to run beside.",
};

/** Objects of Kubernetes: their default is an example of what they may hold. */
const open = new Set(["affinity", "labels", "nodeSelector", "podAnnotations"]);

/**
 * The strict schema of a chart's values.yaml: types by the defaults, descriptions by the comments. An
 * empty map takes any key, another one those that it has. Throws where a value has no comment.
 */
export function describeValues(values: Document): ValueSchema {
  const { contents } = values;
  if (!isMap(contents)) throw new Error("values.yaml is no map");
  const { properties = {}, ...schema } = describeMap(contents, "");
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "Values of the Ballast chart",
    ...schema,
    properties: {
      ...properties,
      global: { description: "What Helm gives to each chart of a bigger one.", type: "object" },
    },
  };
}

function describeMap(map: YAMLMap, path: string): ValueSchema {
  const entries = map.items.map((pair, at) => {
    const name = keyOf(pair);
    const below = path === "" ? name : `${path}.${name}`;
    const comment = commentOf(pair) ?? (at === 0 ? map.commentBefore : undefined);
    const description = tidy(comment) ?? common[name];
    if (description === undefined) throw new Error(`values.yaml: ${below} has no comment`);
    return [name, { description, ...describe(pair.value, below), ...rules[below] }] as const;
  });
  return { type: "object", additionalProperties: false, properties: Object.fromEntries(entries) };
}

function describe(node: unknown, path: string): ValueSchema {
  const name = path.split(".").at(-1) ?? "";
  if (path === "agent.config" && isMap(node)) return describeAgent(node);
  if (name === "resources") return resources;
  if (isMap(node))
    return node.items.length === 0 || open.has(name) ? { type: "object" } : describeMap(node, path);
  if (!isScalar(node)) return { type: "array" };
  const { value } = node;
  if (typeof value === "boolean") return { type: "boolean" };
  if (typeof value === "number") return { type: "integer", minimum: 0 };
  return { type: /^\d+%$/.test(String(value)) ? ["integer", "string"] : "string" };
}

const resources: ValueSchema = {
  type: "object",
  additionalProperties: false,
  properties: {
    requests: { type: "object" },
    limits: { type: "object" },
    claims: { type: "array" },
  },
};

/** Every key that an agent.yaml may have; the agent itself judges their values. */
function describeAgent(config: YAMLMap): ValueSchema {
  const strings: ValueSchema = { type: "array", items: text };
  const groups: Record<string, Record<string, ValueSchema>> = {};
  for (const key of schemaKeys(configSchema)) {
    const [group = "", name = ""] = key.split(".");
    const known: unknown = config.toJSON()[group]?.[name] ?? read(defaultConfig(), group, name);
    const schema = Array.isArray(known) ? strings : { type: ["number", "string"] };
    groups[group] = { ...groups[group], [name]: schema };
  }
  const properties = Object.entries(groups).map(
    ([group, keys]) =>
      [group, { type: "object", additionalProperties: false, properties: keys }] as const,
  );
  return {
    type: "object",
    additionalProperties: false,
    properties: Object.fromEntries(properties),
  };
}

function read(from: object, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((at, name) => Reflect.get(Object(at), name), from);
}

function keyOf({ key }: Pair): string {
  return isScalar(key) ? String(key.value) : String(key);
}

function commentOf({ key }: Pair): string | undefined {
  return isScalar(key) ? (key.commentBefore ?? undefined) : undefined;
}

/** One line of a comment's last paragraph. */
function tidy(comment: string | null | undefined): string | undefined {
  const text = comment?.split(/\n\s*\n/).at(-1);
  return text?.replace(/\s*\n\s*/g, " ").trim();
}
