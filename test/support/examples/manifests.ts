import { checkType, findCoreKind, isCoreVersion } from "./core-kinds.ts";
import type { CustomKinds } from "./custom-kinds.ts";
import { unknownName } from "./nearest.ts";
import { type Fields, type Problem, textAt } from "./problem.ts";
import { checkStructural, countRules } from "./structural.ts";
import { checkVolumes } from "./volumes.ts";

/** Kinds that examples may use although their definition is not collected, by why. */
const withoutDefinition: Readonly<Record<string, string>> = {
  "keda.sh/v1alpha1 ScaledObject": "its definition is not collected",
};

/** What was found out about an object. */
export interface Verdict {
  readonly problems: readonly Problem[];
  /** Why its fields were not looked at. */
  readonly unchecked?: string | undefined;
  /** Rules that only an API server evaluates. */
  readonly rules: number;
}

/** Checks one object, with the definitions of custom kinds where there are some. */
export function checkManifest(object: Fields, custom: CustomKinds | undefined): Verdict {
  const apiVersion = textAt(object, "apiVersion") ?? "";
  const kind = textAt(object, "kind") ?? "";
  const volumes = checkVolumes(object);
  const core = findCoreKind(apiVersion, kind);
  if (core !== undefined) {
    const problems = [...checkType(core.type, object, ""), ...checkNames(object, core.namespaced)];
    return { problems: [...problems, ...volumes], rules: 0 };
  }
  if (isCoreVersion(apiVersion) || !apiVersion.includes("/"))
    return {
      problems: [{ path: "kind", problem: `unknown kind ${apiVersion} ${kind}` }],
      rules: 0,
    };
  const metadata = checkType("V1ObjectMeta", object["metadata"] ?? {}, "metadata");
  const unchecked = custom === undefined ? "no definitions were given" : undefined;
  const excuse = withoutDefinition[`${apiVersion} ${kind}`] ?? unchecked;
  const found = custom?.find(apiVersion, kind);
  if (found !== undefined) {
    const { schema, namespaced } = found;
    const problems = [
      ...checkVersion(apiVersion, found),
      ...checkStructural(schema, object),
      ...checkNames(object, namespaced),
    ];
    return { problems: [...problems, ...metadata, ...volumes], rules: countRules(schema, object) };
  }
  if (excuse !== undefined)
    return { problems: [...metadata, ...volumes], unchecked: excuse, rules: 0 };
  return { problems: [describeUnknown(apiVersion, kind, custom), ...volumes], rules: 0 };
}

function checkVersion(
  apiVersion: string,
  {
    served,
    deprecated,
    versions,
  }: { served: boolean; deprecated: boolean; versions: readonly string[] },
): Problem[] {
  if (served && !deprecated) return [];
  const state = served ? "deprecated" : "not served";
  return [
    { path: "apiVersion", problem: `${apiVersion} is ${state}, there is ${versions.join(", ")}` },
  ];
}

function describeUnknown(
  apiVersion: string,
  kind: string,
  custom: CustomKinds | undefined,
): Problem {
  const [group = "", version = ""] = apiVersion.split("/");
  const versions = custom?.versionsOf(group, kind) ?? [];
  if (versions.length > 0)
    return { path: "apiVersion", problem: unknownName(`version of ${kind}`, version, versions) };
  const kinds = custom?.names.filter((each) => each.group === group) ?? [];
  if (kinds.length > 0)
    return {
      path: "kind",
      problem: unknownName(
        "kind",
        kind,
        kinds.map((each) => each.kind),
      ),
    };
  const groups = new Set(custom?.names.map((each) => each.group));
  return { path: "apiVersion", problem: unknownName("group", group, groups) };
}

/** Objects have a name; those of a namespace say which. */
function checkNames(object: Fields, namespaced: boolean): Problem[] {
  const name = textAt(object, "metadata", "name") ?? textAt(object, "metadata", "generateName");
  const namespace = textAt(object, "metadata", "namespace");
  return [
    ...(name === undefined ? [{ path: "metadata.name", problem: "is missing" }] : []),
    ...(namespaced && namespace === undefined
      ? [{ path: "metadata.namespace", problem: "is missing" }]
      : []),
    ...(!namespaced && namespace !== undefined
      ? [{ path: "metadata.namespace", problem: "the kind is of the whole cluster" }]
      : []),
  ];
}
