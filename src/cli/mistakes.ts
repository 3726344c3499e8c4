import { existsSync } from "node:fs";
import { ModelError } from "../core/errors.ts";
import { parseReference } from "../core/reference.ts";

/** Words that are right by themselves and wrong together. */
export interface Mistake {
  readonly problem: string;
  /** The command that was probably meant, to copy. */
  readonly meant: string;
}

type Exists = (path: string) => boolean;

/** What is wrong with the operands of a command, where its order or place tells; else undefined. */
export function findMistake(
  command: string,
  operands: readonly string[],
  exists: Exists = existsSync,
): Mistake | undefined {
  if (command === "push") return findPushMistake(operands, exists);
  return command === "pull" ? findPullMistake(operands, exists) : undefined;
}

/** Throws INVALID_ARGUMENT with the right command when operands are in the wrong places. */
export function refuseMistake(command: string, operands: readonly string[]): void {
  const mistake = findMistake(command, operands);
  if (mistake === undefined) return;
  throw new ModelError("INVALID_ARGUMENT", mistake.problem, {
    hint: `did you mean: ${mistake.meant}?`,
  });
}

function findPushMistake(operands: readonly string[], exists: Exists): Mistake | undefined {
  const [source, reference] = operands;
  if (source === undefined || operands.length > 2) return undefined;
  if (reference === undefined) {
    if (!exists(source) || isReference(source)) return undefined;
    return mistake("push needs to know where to", ["push", source, exampleReference(source)]);
  }
  if (exists(source) || !isReference(source) || !exists(reference)) return undefined;
  return mistake("SOURCE and REF are swapped", ["push", reference, source]);
}

function findPullMistake(operands: readonly string[], exists: Exists): Mistake | undefined {
  const [first, second] = operands;
  if (first === undefined || operands.length > 2) return undefined;
  if (second === undefined) {
    if (!exists(first) || isReference(first)) return undefined;
    const words = ["push", first, exampleReference(first)];
    return mistake(`${first} is on this machine already; pull fetches a reference`, words);
  }
  const plain = first.replace(/^https?:\/\//i, "");
  if (isReference(plain))
    return mistake("the output folder is named with -o", ["pull", plain, "-o", second]);
  if (!isReference(second)) return undefined;
  return mistake("pull takes the reference first", ["pull", second, "-o", first]);
}

function mistake(problem: string, words: readonly string[]): Mistake {
  return { problem, meant: ["ballast", ...words].map(quoteForShell).join(" ") };
}

/** A word as a shell reads it back. */
function quoteForShell(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

function isReference(text: string): boolean {
  try {
    parseReference(text);
    return true;
  } catch {
    return false;
  }
}

/** A reference of the kind that is missing, named after the folder. */
function exampleReference(path: string): string {
  const last = path.replace(/\/+$/, "").split("/").at(-1) ?? "";
  const name = last.toLowerCase().replace(/[^a-z0-9]+/g, "-");
  return `registry.example.com/team/${name.replace(/^-+|-+$/g, "") || "model"}:v1`;
}
