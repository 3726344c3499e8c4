import { Writable } from "node:stream";
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { createOutput } from "../../src/cli/output.ts";
import { createProgram, runCommandLine } from "../../src/cli/program.ts";
import { readDocument } from "../architecture/tree.ts";
import { createFakeTerminal } from "../support/fake-terminal.ts";

async function run(...args: string[]) {
  const { terminal, out, err } = createFakeTerminal();
  const code = await runCommandLine(args, terminal);
  return { code, out: out.text(), err: err.text() };
}

function allCommands(): Command[] {
  const { terminal } = createFakeTerminal();
  const listed = (command: Command): Command[] => [command, ...command.commands.flatMap(listed)];
  return listed(createProgram(terminal, createOutput(terminal.stdout)));
}

const pathOf = (command: Command): string =>
  command.parent === null ? "" : `${pathOf(command.parent)} ${command.name()}`.trim();

describe("the help", () => {
  test("groups the commands", async () => {
    const { code, out } = await run("--help");
    expect(code).toBe(0);
    const groups = ["Everyday:", "Registry:", "Node:", "Help:", "Topics", "Examples:"];
    const places = groups.map((group) => out.indexOf(`\n${group}`));
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(places).not.toContain(-1);
    for (const name of ["push", "pull", "inspect", "diff", "verify"])
      expect(out.slice(places[0], places[1])).toContain(`\n  ${name} `);
  });

  test("explains every command, argument and option", () => {
    for (const command of allCommands()) {
      expect(command.description()).not.toBe("");
      if (command.parent !== null) expect(command.summary()).not.toBe("");
      for (const option of command.options) expect(option.description).not.toBe("");
      for (const argument of command.registeredArguments) expect(argument.description).not.toBe("");
    }
  });

  test("is the same after the command and before it", async () => {
    for (const command of allCommands().filter((each) => each.parent !== null)) {
      const words = pathOf(command).split(" ");
      const [after, before] = [await run(...words, "--help"), await run("help", ...words)];
      expect(after).toMatchObject({ code: 0, err: "" });
      expect(before.out.trimEnd()).toBe(after.out.trimEnd());
    }
  });

  test.each([["references"], ["environment"], ["exit-codes"]])(
    "has the topic %s",
    async (topic) => {
      const { code, out } = await run("help", topic);
      expect(code).toBe(0);
      expect(out).toContain(topic.toUpperCase().replace("-", " "));
      for (const line of out.split("\n")) expect(line.length).toBeLessThanOrEqual(90);
    },
  );

  test("says what there is when asked for something else", async () => {
    const { code, err } = await run("help", "refrences");
    expect(code).toBe(2);
    expect(err).toMatch(/references/);
  });

  test("comes on standard error, with code 2, when there is no command", async () => {
    for (const words of [[], ["store"], ["registry"]]) {
      const { code, out, err } = await run(...words);
      expect({ code, out }).toEqual({ code: 2, out: "" });
      expect(err).toMatch(/^Usage: ballast/);
    }
  });

  test("and docs/cli.md know the same commands and options", async () => {
    const document = await readDocument("docs/cli.md");
    for (const command of allCommands().filter((each) => each.registeredArguments.length > 0)) {
      expect(document).toContain(`ballast ${pathOf(command)}`);
      for (const option of command.options) expect(document).toContain(option.long);
    }
  });
});

describe("wrong usage", () => {
  test.each([
    [["psh"], "did you mean: push?"],
    [["push", "a", "b", "--dryrun"], "did you mean: --dry-run?"],
    [["store", "gx"], "did you mean: gc?"],
    [["push", import.meta.dirname], "did you mean: ballast push"],
    [["pull", "localhost:1/a:v1", "out"], "did you mean: ballast pull localhost:1/a:v1 -o out?"],
    [["push", "localhost:1/a:v1", import.meta.dirname], "did you mean: ballast push /"],
    [["pull", import.meta.dirname], "did you mean: ballast push /"],
    [["pull"], "see: ballast pull --help"],
    [["reporter"], "see: ballast reporter --help"],
    [["reporter", "--node", "a", "--labels", "all"], "affinity, off"],
    [["reporter", "--node", "a", "--agent-grace", "soon"], "a whole number above 0"],
    [["reporter", "--node", "a", "--label-min-bytes", "5G"], "10GiB"],
    [["registry", "serve"], "see: ballast registry serve --help"],
    [["store", "gc", "--max-bytes", "5G"], "10GiB"],
    [["registry", "serve", "--root", "/nonexistent", "--listen", "5000"], "HOST:PORT"],
    [["pull", "https://registry.example.com/a:v1"], "leave out the scheme"],
    [["pull", "llama:v1"], "host[:port]/repository"],
    [["pull", "localhost:1/a:v1", "--username", "me"], "--password-stdin"],
    [["tag", "localhost:1/a:v1"], "see: ballast tag --help"],
    [["tags", "localhost:1/a:v1"], "name the repository alone: localhost:1/a"],
    [["registry", "rm", "localhost:1/a:v1"], "say --yes, or --dry-run"],
    [["registry", "rm", "localhost:1/a", "--yes"], "localhost:1/a:TAG takes a tag away"],
    [["login", "localhost:1"], "ballast login localhost:1 --username me --password-stdin"],
    [["push", import.meta.dirname, "localhost:1/a:v1", "--annotation", "x"], "key=value"],
  ])("%j has code 2 and says %j", async (words, hint) => {
    const { code, out, err } = await run(...words);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toMatch(/^ballast: INVALID_(ARGUMENT|REFERENCE): /);
    expect(err).toContain(hint);
  });

  test("with --json is one document too", async () => {
    const { code, out, err } = await run("pull", "--json");
    expect(code).toBe(2);
    expect(JSON.parse(out)).toMatchObject({ error: { code: "INVALID_ARGUMENT" } });
    expect(err).toMatch(/^ballast: INVALID_ARGUMENT/);
  });
});

describe("standard output", () => {
  const failing = (code: string) =>
    new Writable({
      write: (_chunk, _encoding, done) => done(Object.assign(new Error("gone"), { code })),
    });

  test("whose reader is gone ends quietly", async () => {
    const { terminal, err } = createFakeTerminal();
    const code = await runCommandLine(["help"], { ...terminal, stdout: failing("EPIPE") });
    expect({ code, err: err.text() }).toEqual({ code: 0, err: "" });
  });

  test("that cannot be written is a failure", async () => {
    const { terminal, err } = createFakeTerminal();
    const code = await runCommandLine(["help"], { ...terminal, stdout: failing("ENOSPC") });
    expect(code).toBe(7);
    expect(err.text()).toContain("standard output could not be written");
  });

  test("holds null for what a JSON document does not know, so that no field is ever missing", async () => {
    const { terminal, out } = createFakeTerminal();
    await createOutput(terminal.stdout).printJson({ a: undefined, b: [1] });
    expect(out.text()).toBe('{"a":null,"b":[1]}\n');
  });
});
