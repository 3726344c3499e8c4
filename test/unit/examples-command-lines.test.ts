import { describe, expect, test } from "vitest";
import { readDocument } from "../architecture/tree.ts";
import {
  checkCommand,
  commandsOfDocument,
  commandsOfMarkdown,
} from "../support/examples/command-lines.ts";
import { splitCommands } from "../support/examples/shell-lines.ts";

describe("a script", () => {
  test.each([
    ["a b 'c d' \"e f\"", [["a", "b", "c d", "e f"]]],
    ["a \\\n  b", [["a", "b"]]],
    ["a | b; c && d", [["a"], ["b"], ["c"], ["d"]]],
    ["x=$(a b)", [["x="], ["a", "b"]]],
    ["a b > file # and more", [["a", "b"]]],
    ["# a\n\nb", [["b"]]],
    ['a ""', [["a", ""]]],
  ])("%j is %j", (script, commands) => {
    expect(splitCommands(script)).toEqual(commands);
  });
});

describe("a command line of ours", () => {
  test.each([
    "ballast push ./a registry.example.com/a:v1 --no-overwrite --annotation a=b",
    "ballast pull registry.example.com/a:v1 --output=/models",
    "ballast pull registry.example.com/a:v1 -o /models -q",
    "ballast store pin registry.example.com/a:v1",
    "ballast prefetch registry.example.com/a:v1 registry.example.com/b:v1 --wait",
    "ballast --version",
  ])("%s is taken", (line) => {
    expect(checkCommand(line.split(" "))).toBeUndefined();
  });

  test.each([
    ["ballast psh ./a b", "unknown command psh, did you mean push?"],
    ["ballast store pinn a", "unknown command pinn, did you mean pin?"],
    [
      "ballast push ./a b --no-overwrit",
      "unknown option --no-overwrit, did you mean --no-overwrite?",
    ],
    ["ballast pull a --outptu=/x", "unknown option --outptu, did you mean --output?"],
    ["ballast push ./a", "push takes SOURCE REF, not ./a"],
    ["ballast verify a b", "verify takes"],
    ["ballast pull a -o", "argument missing"],
    ["ballast", "unknown command"],
  ])("%s is not", (line, why) => {
    expect(checkCommand(line.split(" "))).toContain(why);
  });
});

test("command lines are found in blocks and lines of a text", () => {
  const text =
    "Say `ballast push` so:\n\n```\n$ ballast push a b   # now\nx=$(./ballast pull c)\n```\nor `sudo ballast mount d e`, not `kubectl exec -- ballast x`.";
  expect(commandsOfMarkdown(text)).toEqual([
    ["ballast", "push", "a", "b"],
    ["ballast", "pull", "c"],
    ["ballast", "mount", "d", "e"],
  ]);
});

test("command lines are found in containers and steps of a document", () => {
  const document = {
    containers: [{ command: ["ballast", "pull"], args: ["a"] }, { command: ["vllm"] }],
    steps: [{ run: "set -e\n./ballast push b c\n" }],
  };
  expect(commandsOfDocument(document)).toEqual([
    { path: "containers[0].command", words: ["ballast", "pull", "a"] },
    { path: "steps[0].run", words: ["ballast", "push", "b", "c"] },
  ]);
});

test("README.md has none that the command line does not take", async () => {
  const blocks = (await readDocument("README.md")).match(/^```\n[\s\S]*?^```/gm) ?? [];
  const commands = blocks.flatMap(commandsOfMarkdown);
  expect(commands.length).toBeGreaterThan(5);
  expect(commands.map(checkCommand).filter((problem) => problem !== undefined)).toEqual([]);
});
