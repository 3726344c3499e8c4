import * as kubernetes from "@kubernetes/client-node";
import { unknownName } from "./nearest.ts";
import { below, isFields, type Problem } from "./problem.ts";

/** Kinds that every API server has and examples use, by version. */
const namespaced: Readonly<Record<string, readonly string[]>> = {
  v1: ["Pod", "Service", "ConfigMap", "Secret", "PersistentVolumeClaim", "ServiceAccount"],
  "apps/v1": ["Deployment", "StatefulSet", "DaemonSet"],
  "batch/v1": ["Job", "CronJob"],
  "autoscaling/v2": ["HorizontalPodAutoscaler"],
  "policy/v1": ["PodDisruptionBudget"],
  "networking.k8s.io/v1": ["NetworkPolicy"],
  "rbac.authorization.k8s.io/v1": ["Role", "RoleBinding"],
  "scheduling.k8s.io/v1alpha2": ["Workload", "PodGroup"],
};
const clusterScoped: Readonly<Record<string, readonly string[]>> = {
  v1: ["Namespace", "PersistentVolume"],
  "storage.k8s.io/v1": ["StorageClass"],
  "scheduling.k8s.io/v1": ["PriorityClass"],
};

/** A kind of Kubernetes itself. */
export interface CoreKind {
  readonly namespaced: boolean;
  /** What the official client calls it, which knows all fields and their types. */
  readonly type: string;
}

/** Undefined where Kubernetes has no such kind, or examples are not known to use it. */
export function findCoreKind(apiVersion: string, kind: string): CoreKind | undefined {
  const version = apiVersion.split("/").at(-1) ?? "";
  const type = `V${version.slice(1)}${kind}`;
  if (namespaced[apiVersion]?.includes(kind) === true) return { namespaced: true, type };
  if (clusterScoped[apiVersion]?.includes(kind) === true) return { namespaced: false, type };
  return undefined;
}

/** Tells whether these are kinds of Kubernetes itself. */
export function isCoreVersion(apiVersion: string): boolean {
  return apiVersion in namespaced || apiVersion in clusterScoped;
}

/**
 * Finds unknown fields and wrong types in a value of one of the official client's types. What is
 * required, and what numbers and words may be, only an API server knows.
 */
export function checkType(type: string, value: unknown, path: string): Problem[] {
  if (value === null) return [{ path, problem: "is null: leave it out" }];
  const list = /^Array<(.+)>$/.exec(type)?.[1];
  if (list !== undefined) return checkList(list, value, path);
  const map = /^\{ \[key: string\]: (.+); \}$/.exec(type)?.[1];
  if (map !== undefined) return checkMap(map, value, path);
  const plain = plainTypes[type];
  if (plain !== undefined)
    return plain(value) ? [] : [{ path, problem: `must be ${type}, is ${typeof value}` }];
  return checkFields(type, value, path);
}

const plainTypes: Readonly<Record<string, (value: unknown) => boolean>> = {
  any: () => true,
  object: isFields,
  string: (value) => typeof value === "string",
  number: (value) => typeof value === "number",
  boolean: (value) => typeof value === "boolean",
  Date: (value) => typeof value === "string",
  IntOrString: (value) => typeof value === "string" || Number.isInteger(value),
};

function checkList(type: string, value: unknown, path: string): Problem[] {
  if (!Array.isArray(value)) return [{ path, problem: `must be a list, is ${typeof value}` }];
  return value.flatMap((each, index) => checkType(type, each, below(path, index)));
}

function checkMap(type: string, value: unknown, path: string): Problem[] {
  if (!isFields(value)) return [{ path, problem: `must be a map, is ${typeof value}` }];
  // Amounts may be written as numbers.
  const amounts = /(?:^|\.)(?:limits|requests|capacity)$/.test(path);
  return Object.entries(value).flatMap(([key, each]) =>
    amounts && typeof each === "number" ? [] : checkType(type, each, below(path, key)),
  );
}

function checkFields(type: string, value: unknown, path: string): Problem[] {
  if (!isFields(value)) return [{ path, problem: `must be an object, is ${typeof value}` }];
  const fields = fieldsOf(type);
  return Object.entries(value).flatMap(([key, each]) => {
    const field = fields.get(key);
    return field === undefined
      ? [{ path: below(path, key), problem: unknownName("field", key, fields.keys()) }]
      : checkType(field, each, below(path, key));
  });
}

/** Fields of one of the client's types, by the name on the wire. Throws where there is no such type. */
function fieldsOf(type: string): Map<string, string> {
  const model: unknown = Reflect.get(kubernetes, type);
  if (typeof model !== "function") throw new Error(`the Kubernetes client has no type ${type}`);
  const describe: unknown = Reflect.get(model, "getAttributeTypeMap");
  const fields: unknown = typeof describe === "function" ? describe.call(model) : [];
  const listed = Array.isArray(fields) ? fields : [];
  return new Map(listed.map((field) => [String(field.baseName), String(field.type)]));
}
