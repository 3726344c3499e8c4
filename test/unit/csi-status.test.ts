import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { describeStatus, isFinal, StatusError, statusOfErrors } from "../../csi/status.ts";
import { type ErrorCode, errorCodes, ModelError } from "../../src/core/errors.ts";

const codes = Object.keys(errorCodes) as ErrorCode[];

describe("the gRPC code of an error", () => {
  test.each(codes)("%s is not final if it may help to try again", (code) => {
    if (errorCodes[code].retryable) expect(isFinal(statusOfErrors[code])).toBe(false);
    expect([status.OK, status.CANCELLED, status.UNKNOWN]).not.toContain(statusOfErrors[code]);
  });

  test("is what docs/csi.md says", async () => {
    const document = await readFile(join(import.meta.dirname, "../../docs/csi.md"), "utf8");
    const rows = document.matchAll(/^\| `([A-Z_]+)` \| ((?:`[A-Z_]+`(?:, )?)+) \|/gm);
    const documented = [...rows].flatMap(([, grpc, errors = ""]) =>
      errors.split(", ").map((error) => [error.replaceAll("`", ""), grpc] as const),
    );
    const table = codes.map((code) => [code, status[statusOfErrors[code]]] as const);
    expect(Object.fromEntries(documented)).toEqual(Object.fromEntries(table));
  });
});

describe("the text of an answer", () => {
  test("is code, message and hint of a ModelError", () => {
    expect(describeStatus(new ModelError("NO_SPACE", "full", { hint: "free some" }))).toEqual({
      code: status.RESOURCE_EXHAUSTED,
      details: "NO_SPACE: full; free some",
    });
  });

  test("says nothing of what a defect says", () => {
    for (const error of [new TypeError("secret"), "secret", undefined])
      expect(describeStatus(error)).toEqual({
        code: status.INTERNAL,
        details: expect.not.stringContaining("secret"),
      });
  });

  test("is one printable line of a bounded length", () => {
    const text = `a\r\n\u001b[31mb\u2028c\u202ed ${"é".repeat(2000)}`;
    const { details } = describeStatus(new StatusError(status.ABORTED, text));
    expect(details).toMatch(/^a \[31mb c d é+\.\.\.$/u);
    expect(details).toHaveLength(800);
  });
});
