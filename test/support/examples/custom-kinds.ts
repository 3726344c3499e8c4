import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { at, isFields, listAt, textAt } from "./problem.ts";
import type { StructuralSchema } from "./structural.ts";

/** One version of a kind that a CustomResourceDefinition defines. */
interface CustomKind {
  readonly namespaced: boolean;
  readonly served: boolean;
  readonly deprecated: boolean;
  /** All versions that are served, the one to use first. */
  readonly versions: readonly string[];
  readonly schema: StructuralSchema;
}

/** Kinds by group and name; a schema of megabytes is parsed when it is asked for. */
export interface CustomKinds {
  /** Kinds of all groups. */
  readonly names: readonly { readonly group: string; readonly kind: string }[];
  /** Undefined where the group has no such kind, or the kind no such version. */
  find(apiVersion: string, kind: string): CustomKind | undefined;
  /** Versions of a kind, for who named another one. */
  versionsOf(group: string, kind: string): readonly string[];
}

/** Reads the YAML files of a folder that hold CustomResourceDefinitions, one or several each. */
export async function readCustomKinds(folder: string): Promise<CustomKinds> {
  const files = (await readdir(folder)).filter((file) => /\.ya?ml$/.test(file));
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), "utf8")));
  return createCustomKinds(texts);
}

/** The kinds of these YAML streams. */
export function createCustomKinds(texts: readonly string[]): CustomKinds {
  const definitions = texts.flatMap(splitDefinitions);
  const parsed = new Map<string, unknown>();
  const definitionOf = (group: string, kind: string) => {
    const name = `${group} ${kind}`;
    const found = definitions.find((each) => each.group === group && each.kind === kind);
    if (found !== undefined && !parsed.has(name)) parsed.set(name, parse(found.text));
    return parsed.get(name);
  };
  return {
    names: definitions,
    find: (apiVersion, kind) => {
      const [group = "", version = ""] = apiVersion.split("/");
      return describeVersion(definitionOf(group, kind), version);
    },
    versionsOf: (group, kind) => servedVersions(definitionOf(group, kind)),
  };
}

/** Finds group and kind without parsing what is large. */
function splitDefinitions(stream: string): { group: string; kind: string; text: string }[] {
  return stream.split(/^---.*$/m).flatMap((text) => {
    if (!/^kind: CustomResourceDefinition$/m.test(text)) return [];
    const group = /^ {2}group: "?([\w.-]+)"?$/m.exec(text)?.[1];
    const kind = /^ {4}kind: "?(\w+)"?$/m.exec(text)?.[1];
    return group === undefined || kind === undefined ? [] : [{ group, kind, text }];
  });
}

function describeVersion(definition: unknown, name: string): CustomKind | undefined {
  const version = listAt(at(definition, "spec"), "versions").find(
    (each) => textAt(each, "name") === name,
  );
  const schema = at(version, "schema", "openAPIV3Schema");
  if (!isFields(schema)) return undefined;
  return {
    namespaced: at(definition, "spec", "scope") === "Namespaced",
    served: at(version, "served") === true,
    deprecated: at(version, "deprecated") === true,
    versions: servedVersions(definition),
    schema,
  };
}

function servedVersions(definition: unknown): string[] {
  const versions = listAt(at(definition, "spec"), "versions").filter(
    (each) => at(each, "served") === true && at(each, "deprecated") !== true,
  );
  const storedFirst = versions.toSorted(
    (a, b) => Number(at(b, "storage") === true) - Number(at(a, "storage") === true),
  );
  return storedFirst.flatMap((each) => textAt(each, "name") ?? []);
}
