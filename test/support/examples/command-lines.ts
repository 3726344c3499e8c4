import type { Command } from "commander";
import { createOutput } from "../../../src/cli/output.ts";
import { createProgram } from "../../../src/cli/program.ts";
import { createFakeTerminal } from "../fake-terminal.ts";
import { unknownName } from "./nearest.ts";
import { at, below, isFields } from "./problem.ts";
import { splitCommands, type Words } from "./shell-lines.ts";

/** The command lines of ours in a Markdown text: in blocks of code, and `ballast ...` in its lines. */
export function commandsOfMarkdown(text: string): Words[] {
  const blocks = [...text.matchAll(/^```[^\n]*\n([\s\S]*?)^```/gm)].map(([, block = ""]) => block);
  const rest = text.replaceAll(/^```[^\n]*\n[\s\S]*?^```/gm, "");
  const spans = [...rest.matchAll(/`([^`\n]+)`/g)].map(([, span = ""]) => span);
  // A name alone is how a text speaks of a command.
  const lines = spans.flatMap(commandsOfScript).filter((words) => words.length > 2);
  return [...blocks.flatMap(commandsOfScript), ...lines];
}

/** The command lines of ours in a script. */
function commandsOfScript(script: string): Words[] {
  return splitCommands(script.replaceAll(/^\$ /gm, "")).flatMap(ownCommand);
}

/** The command lines of ours in a document: `command` and `args` of containers, and scripts. */
export function commandsOfDocument(value: unknown, path = ""): { path: string; words: Words }[] {
  if (typeof value === "string")
    return /\bballast\s/.test(value)
      ? commandsOfScript(value).map((words) => ({ path, words }))
      : [];
  if (Array.isArray(value))
    return value.flatMap((each, index) => commandsOfDocument(each, below(path, index)));
  if (!isFields(value)) return [];
  const words = [...texts(at(value, "command")), ...texts(at(value, "args"))];
  const own = /(?:^|\/)ballast$/.test(words[0] ?? "")
    ? [{ path: below(path, "command"), words: ["ballast", ...words.slice(1)] }]
    : [];
  return [
    ...own,
    ...Object.entries(value).flatMap(([key, each]) => commandsOfDocument(each, below(path, key))),
  ];
}

/** Checks one against the command line itself; nothing runs. Undefined when it would be taken. */
export function checkCommand([, ...words]: Words): string | undefined {
  const { terminal } = createFakeTerminal();
  let command: Command = createProgram(terminal, createOutput(terminal.stdout));
  let rest = [...words];
  while (command.commands.length > 0) {
    const [name = "", ...more] = rest;
    if (name.startsWith("-") && command.parent === null) return undefined;
    const found = command.commands.find((each) => each.name() === name);
    if (found === undefined)
      return unknownName(
        "command",
        name,
        command.commands.map((each) => each.name()),
      );
    [command, rest] = [found, more];
  }
  return findUsageProblem(command, rest);
}

function findUsageProblem(command: Command, words: readonly string[]): string | undefined {
  const flags = command.options.flatMap(({ long, short }) => [long ?? [], short ?? []].flat());
  const missing: string[] = [];
  const { operands, unknown } = parse(command, words, missing);
  if (missing[0] !== undefined) return missing[0];
  const [first] = unknown;
  if (first !== undefined) return unknownName("option", first.replace(/=.*/, ""), flags);
  const wanted = command.registeredArguments;
  const least = wanted.filter(({ required }) => required).length;
  const most = wanted.some(({ variadic }) => variadic) ? Number.POSITIVE_INFINITY : wanted.length;
  if (operands.length >= least && operands.length <= most) return undefined;
  const names = wanted.map((argument) => argument.name()).join(" ");
  return `${command.name()} takes ${names === "" ? "no operand" : names}, not ${operands.join(" ")}`;
}

/** An option without its value ends the parsing. */
function parse(command: Command, words: readonly string[], missing: string[]) {
  try {
    return command.parseOptions([...words]);
  } catch (error) {
    missing.push(error instanceof Error ? error.message : String(error));
    return { operands: [], unknown: [] };
  }
}

function ownCommand(words: Words): Words[] {
  const start = words.findIndex((word) => /(?:^|\/)ballast$/.test(word));
  // Words before it may only set variables, or run it.
  const runs = words
    .slice(0, Math.max(0, start))
    .every((word) => /^(?:[A-Z_]+=.*|sudo|exec|model=|\w+=)$/.test(word));
  return start < 0 || !runs || words.length === start + 1
    ? []
    : [["ballast", ...words.slice(start + 1)]];
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.map(String) : [];
}
