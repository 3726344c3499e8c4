import { describe, expect, test } from "vitest";
import { errorExitCodes, exitCodes, signalExitCodes } from "../../src/cli/exit-codes.ts";
import { describeFailure, printFailure } from "../../src/cli/failure.ts";
import { helpTopics } from "../../src/cli/help-topics.ts";
import { redact } from "../../src/cli/redact.ts";
import { errorCodes, ModelError } from "../../src/core/errors.ts";
import { readDocument } from "../architecture/tree.ts";
import { createFakeTerminal } from "../support/fake-terminal.ts";

describe("exit codes", () => {
  test("exist for every error code, and no failure is a success", () => {
    expect(Object.keys(errorExitCodes).sort()).toEqual(Object.keys(errorCodes).sort());
    expect(Object.values(errorExitCodes)).not.toContain(exitCodes.ok);
  });

  test("stand in the document and in the help, each with all its error codes", async () => {
    const document = await readDocument("docs/cli.md");
    const topic = helpTopics.find(({ name }) => name === "exit-codes")?.text ?? "";
    for (const code of Object.values(exitCodes)) {
      const named = Object.entries(errorExitCodes).filter(([, exit]) => exit === code);
      const row = document.split("\n").find((line) => line.startsWith(`| ${code} |`)) ?? "";
      expect(row).not.toBe("");
      for (const [name] of named) expect(row).toContain(`\`${name}\``);
      expect(topic).toMatch(new RegExp(`^ +${code}  \\w`, "m"));
    }
  });
});

describe("a failure", () => {
  test("is one line with its code, its hint below, and nothing that steers a terminal", () => {
    const { terminal, err } = createFakeTerminal();
    const error = new ModelError("NOT_FOUND", "no tag \x1b[2Jv1", { hint: "tags there:\nv2" });
    printFailure(describeFailure(error, terminal), error, terminal);
    expect(err.text()).toBe("ballast: NOT_FOUND: no tag \\x1b[2Jv1\n  tags there:\n  v2\n");
  });

  test("is red on a terminal only, and not with NO_COLOR", () => {
    const error = new ModelError("NOT_FOUND", "x");
    for (const [environment, colored] of [
      [{}, true],
      [{ NO_COLOR: "1" }, false],
      [{ TERM: "dumb" }, false],
    ] as const) {
      const { terminal, err } = createFakeTerminal({ columns: 80, environment });
      printFailure(describeFailure(error, terminal), error, terminal);
      expect(err.text().includes("\x1b[")).toBe(colored);
    }
  });

  test("nobody foresaw is one line, a plea and code 70", () => {
    const { terminal, err } = createFakeTerminal();
    const error = new TypeError("x is not a function");
    const failure = describeFailure(error, terminal);
    printFailure(failure, error, terminal);
    expect(failure.exitCode).toBe(70);
    expect(err.text()).toMatch(
      /^ballast: UNEXPECTED: TypeError: x is not.*\n {2}.*BALLAST_DEBUG=1.*\n$/,
    );
  });

  test("tells its causes with BALLAST_DEBUG=1, without secrets", () => {
    const environment = { BALLAST_DEBUG: "1", BALLAST_PASSWORD: "hunter2" };
    const { terminal, err } = createFakeTerminal({ environment });
    const cause = new Error("GET https://me:pw@registry.example.com/v2/?sig=abc with hunter2");
    const error = new ModelError("REGISTRY_UNAVAILABLE", "no answer", { cause });
    printFailure(describeFailure(error, terminal), error, terminal);
    expect(err.text()).toContain("caused by: Error: GET https://***@registry.example.com/v2/?***");
    expect(err.text()).toContain("cli-failure.test.ts");
    expect(err.text()).not.toMatch(/hunter2|pw@|sig=/);
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("after %s has exit code %d, whatever broke while it stopped", (name, code) => {
    const { terminal } = createFakeTerminal();
    const stopped = { ...terminal, stoppedBy: () => name };
    expect(describeFailure(new Error("socket closed"), stopped)).toMatchObject({
      code: "CANCELLED",
      message: `stopped by ${name}`,
      exitCode: code,
    });
    expect(signalExitCodes[name]).toBe(code);
  });
});

test.each([
  ["Authorization: Bearer abc.def-123", "Authorization: ***"],
  ["sent Basic bWU6cHc= there", "sent Basic *** there"],
  ['{"access_token":"abc","expires":1}', '{"access_token":"***","expires":1}'],
  ["https://cdn.example.com/blob?X-Sig=1&b=2 failed", "https://cdn.example.com/blob?*** failed"],
  ["at file:///work/a.ts:1:2", "at file:///work/a.ts:1:2"],
  ["registry.example.com/team/model@sha256:00", "registry.example.com/team/model@sha256:00"],
])("%j is shown as %j", (text, shown) => {
  expect(redact(text, {})).toContain(shown);
  expect(redact(text, {})).not.toMatch(/abc|bWU6|X-Sig/);
});
