import { posix } from "node:path";
import { checkClaims } from "./claims.ts";
import { checkCommand, commandsOfDocument, commandsOfMarkdown } from "./command-lines.ts";
import type { CustomKinds } from "./custom-kinds.ts";
import { type ExampleFile, roleOf } from "./files.ts";
import { checkFolders } from "./folders.ts";
import { checkManifest } from "./manifests.ts";
import { checkPipeline } from "./pipelines.ts";
import { type Fault, isFields, type Problem, textAt } from "./problem.ts";
import { checkValues } from "./values.ts";
import { checkVolumes } from "./volumes.ts";

/** What to check examples against. */
export interface Means {
  /** Definitions of custom kinds; undefined where none are at hand. */
  readonly custom: CustomKinds | undefined;
  /** The folder that they are from, with schemas of values of charts. */
  readonly definitions: string | undefined;
  /** The folder of our chart. */
  readonly chart: string;
}

/** What a check came to. */
export interface Report {
  readonly faults: readonly Fault[];
  /** Objects whose fields nobody looked at, and why. */
  readonly unchecked: readonly string[];
  readonly objects: number;
  readonly commands: number;
  /** Rules in CEL that only an API server evaluates. */
  readonly rules: number;
}

/** Checks all examples; each fault is found that one file or one folder shows. */
export async function checkExamples(files: readonly ExampleFile[], means: Means): Promise<Report> {
  const faults: Fault[] = checkFolders(files);
  const unchecked: string[] = [];
  const counts = { objects: 0, commands: 0, rules: 0 };
  const byFolder = Map.groupBy(objectsOf(files), ({ file }) => file.split("/")[0] ?? "");
  for (const objects of byFolder.values()) faults.push(...checkFolderClaims(objects));
  for (const { file, object } of objectsOf(files)) {
    const { problems, unchecked: why, rules } = checkManifest(object, means.custom);
    counts.objects += 1;
    counts.rules += rules;
    faults.push(...placed(file, object, problems));
    if (why !== undefined) unchecked.push(`${file}: ${nameOf(object)}: not checked: ${why}`);
  }
  for (const { file, documents, text } of files) {
    for (const document of documents) {
      const verdict = await checkOther(file, document, means);
      faults.push(...placed(file, undefined, verdict.problems));
      if (verdict.unchecked !== undefined)
        unchecked.push(`${file}: not checked: ${verdict.unchecked}`);
    }
    const commands = [
      ...documents.flatMap((document) => commandsOfDocument(document)),
      ...(file.endsWith(".md")
        ? commandsOfMarkdown(text).map((words) => ({ path: "", words }))
        : []),
    ];
    counts.commands += commands.length;
    faults.push(...checkCommands(file, commands));
  }
  return { faults, unchecked, ...counts };
}

/** The objects among the files' documents. */
export function objectsOf(
  files: readonly ExampleFile[],
): { file: string; object: Readonly<Record<string, unknown>> }[] {
  return files.flatMap(({ file, documents }) =>
    documents.flatMap((object) =>
      isFields(object) && roleOf(file, object) === "manifest" ? [{ file, object }] : [],
    ),
  );
}

function checkFolderClaims(
  objects: readonly { file: string; object: Readonly<Record<string, unknown>> }[],
): Fault[] {
  return checkClaims(objects.map(({ object }) => object)).flatMap(({ object, problem }) => {
    const file = objects.find((each) => each.object === object)?.file ?? "";
    return placed(file, object, [problem]);
  });
}

async function checkOther(
  file: string,
  document: unknown,
  { chart, definitions }: Means,
): Promise<{ problems: readonly Problem[]; unchecked?: string | undefined }> {
  switch (roleOf(file, document)) {
    case "values":
      return checkValues(file, document, { chart, definitions });
    case "patch":
      // What a patch mounts is checked where it was applied.
      return { problems: checkVolumes(document).filter(({ path }) => !path.includes("ountPath")) };
    case "pipeline":
      return { problems: checkPipeline(file, document) };
    case "unknown":
      return { problems: [{ path: "", problem: "is neither a manifest nor another known file" }] };
    case "manifest":
    case "kustomization":
      return { problems: [] };
  }
}

function checkCommands(
  file: string,
  commands: readonly { path: string; words: readonly string[] }[],
): Fault[] {
  return commands.flatMap(({ path, words }) => {
    const problem = checkCommand(words);
    return problem === undefined
      ? []
      : [{ file, path, problem: `"${words.join(" ")}": ${problem}` }];
  });
}

/** Folders and files that the READMEs' `kubectl` commands name, as they are written there. */
export function appliedPaths(files: readonly ExampleFile[]): { file: string; path: string }[] {
  return files
    .filter(({ file }) => file.endsWith(".md"))
    .flatMap(({ file, text }) =>
      [...text.matchAll(/kubectl[^`\n]*? -[kf] ([\w./-]+)/g)].map(([, path = ""]) => ({
        file,
        path: posix.normalize(path),
      })),
    );
}

function placed(file: string, object: unknown, problems: readonly Problem[]): Fault[] {
  return problems.map((problem) => ({
    file,
    object: object === undefined ? undefined : nameOf(object),
    ...problem,
  }));
}

function nameOf(object: unknown): string {
  return `${textAt(object, "kind")} ${textAt(object, "metadata", "name") ?? ""}`.trim();
}
