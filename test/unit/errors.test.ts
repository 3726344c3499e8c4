import { mkdir } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import {
  type ErrorCode,
  errorCodes,
  isModelError,
  ModelError,
  systemCode,
} from "../../src/core/errors.ts";
import { describeSystemError } from "../../src/core/system-error.ts";
import { describeFailure } from "../../src/model/failure.ts";

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: it failed, open '/x'`), { code });
}

describe("a ModelError", () => {
  test("carries code, hint and cause", () => {
    const cause = new Error("deep");
    const error = new ModelError("NOT_FOUND", "no such model", { hint: "look again", cause });
    expect(error).toMatchObject({
      name: "ModelError",
      code: "NOT_FOUND",
      message: "no such model",
      hint: "look again",
      cause,
    });
    expect(new ModelError("NOT_FOUND", "x")).not.toHaveProperty("cause");
  });

  test.each(Object.keys(errorCodes) as ErrorCode[])("%s says whether to try again", (code) => {
    expect(new ModelError(code, "x").retryable).toBe(errorCodes[code].retryable);
  });

  test("is told apart by its code", () => {
    const error = new ModelError("NO_SPACE", "full");
    expect(isModelError(error)).toBe(true);
    expect(isModelError(error, "NOT_FOUND", "NO_SPACE")).toBe(true);
    expect(isModelError(error, "NOT_FOUND")).toBe(false);
    expect(isModelError(new Error("full"))).toBe(false);
    expect(isModelError(undefined)).toBe(false);
  });
});

describe("a system error", () => {
  test("has a code", async () => {
    const error: unknown = await mkdir("/proc/none/x").catch((caught: unknown) => caught);
    expect(systemCode(error)).toBe("ENOENT");
    expect(systemCode(new Error("x"))).toBeUndefined();
    expect(systemCode(Object.assign(new Error("x"), { code: 7 }))).toBeUndefined();
    expect(systemCode({ code: "ENOENT" })).toBeUndefined();
  });

  test.each([
    ["Unknown system error -122", -122, "EDQUOT"],
    ["UNKNOWN", -122, "EDQUOT"],
    ["Unknown system error -116", -116, "ESTALE"],
    ["UNKNOWN", -117, "EUCLEAN"],
    ["Unknown system error -133", -133, "E133"],
    ["ENOSPC", -28, "ENOSPC"],
  ])("that Node calls %s %s has the code %s", (code, errno, expected) => {
    expect(systemCode(Object.assign(new Error("x"), { code, errno }))).toBe(expected);
  });

  test("without words of Node's own is told by its code", () => {
    const error = new Error("Unknown system error -122: Unknown system error -122, write");
    const cause = Object.assign(error, { code: "UNKNOWN", errno: -122, syscall: "write" });
    expect(describeSystemError(cause, ["/data"])).toMatchObject({
      code: "NO_SPACE",
      message: "the disk quota at /data is used up (EDQUOT, write)",
    });
  });

  test("that names no path is told of with the places it may be about", () => {
    const cause = Object.assign(new Error("EIO: i/o error, read"), { code: "EIO" });
    expect(describeSystemError(cause, ["/a", "/b"])).toMatchObject({
      message: "a local file at /a or /b could not be used: EIO: i/o error, read",
      hint: expect.stringContaining("ballast store verify") as string,
    });
  });

  test.each([
    ["ENOSPC", "NO_SPACE", /same command again/],
    ["EDQUOT", "NO_SPACE", /same command again/],
    ["EACCES", "STORE_IO", /who owns/],
    ["EPERM", "STORE_IO", /who owns/],
    ["EROFS", "STORE_IO", /read-only/],
  ])("%s becomes %s with a next step", (code, expected, hint) => {
    const cause = systemError(code);
    expect(describeSystemError(cause)).toMatchObject({
      code: expected,
      cause,
      hint: expect.stringMatching(hint) as string,
    });
  });

  test("EIO becomes STORE_IO", () => {
    expect(describeSystemError(systemError("EIO"))).toMatchObject({ code: "STORE_IO" });
  });

  test.each([
    ["a ModelError", new ModelError("NOT_FOUND", "x")],
    ["an error of Node's own", systemError("ERR_INVALID_ARG_TYPE")],
    ["an error without a code", new TypeError("x")],
    ["what is no error", "text"],
  ])("%s is returned as it is", (_, error) => {
    expect(describeSystemError(error)).toBe(error);
  });
});

describe("what a call rejects with", () => {
  const aborted = AbortSignal.abort();

  test.each([
    ["the signal's reason", aborted.reason],
    ["a system error that the abort caused", systemError("EBADF")],
    ["a stopped thread", new ModelError("CANCELLED", "the thread was stopped")],
  ])("after an abort, %s becomes CANCELLED", (_, error) => {
    expect(describeFailure(error, "push", aborted)).toMatchObject({
      code: "CANCELLED",
      message: "the push was stopped",
      hint: expect.stringContaining("goes on") as string,
      cause: error as unknown,
    });
  });

  test("a ModelError given as the reason becomes CANCELLED too", () => {
    const reason = new ModelError("INVALID_ARGUMENT", "no more time");
    const failure = describeFailure(reason, "pull", AbortSignal.abort(reason));
    expect(failure).toMatchObject({ code: "CANCELLED", cause: reason });
  });

  test("what closing failed with as well does not hide the failure", () => {
    const first = new ModelError("NOT_FOUND", "no such model");
    const suppressed = new SuppressedError(systemError("EROFS"), first);
    expect(describeFailure(suppressed, "pull", undefined)).toBe(first);
    const twice = new SuppressedError(systemError("EIO"), suppressed);
    expect(describeFailure(twice, "pull", undefined)).toBe(first);
  });

  test("a full disk that a thread found, without a path, is one of the call's places", () => {
    const error = new ModelError("NO_SPACE", "the disk is full (ENOSPC, write)", { hint: "h" });
    expect(describeFailure(error, "pull", undefined, ["/not/there"])).toMatchObject({
      code: "NO_SPACE",
      message: "/not/there: the disk is full (ENOSPC, write)",
      hint: "h",
    });
    const named = new ModelError("NO_SPACE", "not enough space at /data: 1 byte");
    expect(describeFailure(named, "pull", undefined, ["/data"])).toBe(named);
  });

  test("a failure of its own stays what it is", () => {
    const error = new ModelError("DIGEST_MISMATCH", "wrong bytes");
    expect(describeFailure(error, "pull", aborted)).toBe(error);
    expect(describeFailure(error, "pull", undefined)).toBe(error);
    expect(describeFailure(systemError("ENOSPC"), "pull", undefined)).toMatchObject({
      code: "NO_SPACE",
    });
  });
});
