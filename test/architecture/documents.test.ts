import { describe, expect, test } from "vitest";
import { errorCodes } from "../../src/core/errors.ts";
import { checkErrorSections, checkFaults } from "./check-documents.ts";
import { readDocument, readTree } from "./tree.ts";

const codes = Object.keys(errorCodes);

describe("docs/faults.md", () => {
  test("names an existing test and a known error code in every row", async () => {
    const tests = await readTree("test/**/*.test.ts");
    const document = await readDocument("docs/faults.md");
    expect(document).toContain("| fault | error code | test |\n|---|---|---|\n");
    expect(checkFaults(document, codes, tests)).toEqual([]);
  });

  test.each([
    [
      "a code nobody throws",
      "| f | `NO_SUCH` | `test/a.test.ts: works` |",
      'no error code "NO_SUCH"',
    ],
    [
      "a file that is not there",
      "| f | `NOT_FOUND` | `test/b.test.ts: works` |",
      "there is no test/b",
    ],
    ["a title that is not there", "| f | `NOT_FOUND` | `test/a.test.ts: work` |", "no test"],
    ["a title that only a comment has", "| f | - | `test/a.test.ts: noted` |", "no test"],
    ["another form", "| f | - | test/a.test.ts |", "is not"],
    ["an empty test", "| f | - | |", "three columns"],
    ["a missing column", "| f | - |", "three columns"],
    ["a column too many", "| f | - | `test/a.test.ts: works` | x |", "three columns"],
  ])("cannot have %s", (_, row, why) => {
    expect(checkSample(row)).toEqual([expect.stringContaining(why)]);
  });

  test.each([
    ["a plain title", "| f | `NOT_FOUND` | `test/a.test.ts: works` |"],
    ["no error", "| a \\| b | - | test/a.test.ts: works |"],
    ["a title with marks", '| f | - | `test/a.test.ts: says "no" to %s` |'],
  ])("can have %s", (_, row) => {
    expect(checkSample(row)).toEqual([]);
  });
});

describe("docs/errors.md", () => {
  test("explains every error code and no other", async () => {
    expect(checkErrorSections(await readDocument("docs/errors.md"), codes)).toEqual([]);
  });

  test.each([
    ["lacks one", "## A\n\nx\ny\n", ["no section for B"]],
    ["has one too many", "## A\nx\ny\n## B\nx\ny\n## C\nx\ny\n", ['"C" is no error code']],
    ["says nothing", "## A\nx\ny\n\n## B\n\nx\n", ["B is not explained"]],
  ])("is refused when it %s", (_, document, faults) => {
    expect(checkErrorSections(document, ["A", "B"])).toEqual(faults);
  });
});

function checkSample(row: string): string[] {
  const source = `test("works", run);\n// noted\ntest.each([1])(\n  "says \\"no\\" to %s", run);`;
  const document = `# t\n\n| fault | error code | test |\n|---|---|---|\n${row}\n`;
  return checkFaults(document, codes, new Map([["test/a.test.ts", source]]));
}
