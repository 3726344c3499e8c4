import { posix } from "node:path";
import { type ExampleFile, roleOf } from "./files.ts";
import { unknownName } from "./nearest.ts";
import { at, type Fault, isFields, listAt, type Problem, textAt } from "./problem.ts";

/** What a kustomization of an example may have. */
const knownFields = "apiVersion kind resources components patches namespace images".split(" ");

/** Checks kustomizations against the files beside them, and that each example is explained. */
export function checkFolders(files: readonly ExampleFile[]): Fault[] {
  const names = new Set(files.map(({ file }) => file));
  const customized = files.filter((each) => roles(each).includes("kustomization"));
  const reached = new Set(customized.flatMap(({ file, documents }) => reach(file, documents[0])));
  return [
    ...customized.flatMap(({ file, documents }) =>
      checkKustomization(file, documents[0], names).map((problem) => ({ file, ...problem })),
    ),
    ...files
      .filter((each) => isApplied(each, customized) && !reached.has(each.file))
      .map(({ file }) => ({
        file,
        path: "",
        problem: "the kustomization beside it does not name it",
      })),
    ...[...new Set(files.flatMap(({ file }) => file.split("/")[0] ?? []))]
      .filter((folder) => files.some(({ file }) => file.startsWith(`${folder}/`)))
      .filter((folder) => ![...names].some((name) => isReadme(name, folder)))
      .filter((folder) => folder !== "library")
      .map((folder) => ({ file: folder, path: "", problem: "has no README.md" })),
  ];
}

function isReadme(name: string, folder: string): boolean {
  return name === `${folder}/README.md`;
}

function roles({ file, documents }: ExampleFile): string[] {
  return documents.map((document) => roleOf(file, document));
}

function isApplied(each: ExampleFile, customized: readonly ExampleFile[]): boolean {
  const applied = roles(each).some((role) => role === "manifest" || role === "patch");
  const folder = posix.dirname(each.file);
  return applied && customized.some(({ file }) => posix.dirname(file) === folder);
}

/** Files and folders that a kustomization names, as paths in the examples' folder. */
function reach(file: string, document: unknown): string[] {
  const entries = [
    ...listAt(document, "resources"),
    ...listAt(document, "components"),
    ...listAt(document, "patches").map((patch) => at(patch, "path")),
  ];
  return entries
    .filter((entry) => typeof entry === "string")
    .map((entry) => posix.join(posix.dirname(file), entry));
}

function checkKustomization(
  file: string,
  document: unknown,
  names: ReadonlySet<string>,
): Problem[] {
  if (!isFields(document)) return [{ path: "", problem: "is no object" }];
  const kind = textAt(document, "kind") ?? "";
  const version = kind === "Component" ? "v1alpha1" : "v1beta1";
  const expected = `kustomize.config.k8s.io/${version}`;
  return [
    ...(["Kustomization", "Component"].includes(kind)
      ? []
      : [{ path: "kind", problem: unknownName("kind", kind, ["Kustomization", "Component"]) }]),
    ...(textAt(document, "apiVersion") === expected
      ? []
      : [{ path: "apiVersion", problem: `is not ${expected}` }]),
    ...Object.keys(document)
      .filter((key) => !knownFields.includes(key))
      .map((key) => ({ path: key, problem: unknownName("field", key, knownFields) })),
    ...reach(file, document)
      .filter((path) => !names.has(path) && !names.has(`${path}/kustomization.yaml`))
      .map((path) => ({ path: "", problem: `there is no ${path}` })),
  ];
}
