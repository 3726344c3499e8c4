import { lstat, lutimes, readdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, test, vi } from "vitest";
import { tryFileLock } from "../../src/core/file-lock.ts";
import { makeTemporaryFolder } from "../support/models.ts";

/** A process of another host, which nobody here can ask. */
const stranger = "00000000.00000000.1.2.3";

afterEach(() => void vi.useRealTimers());

async function setAge(path: string, seconds: number): Promise<void> {
  const then = new Date(Date.now() - seconds * 1000);
  await lutimes(path, then, then);
}

describe("a lock file for long work", () => {
  test("excludes a second holder until it is let go of, and leaves nothing", async () => {
    await using folder = await makeTemporaryFolder();
    const path = join(folder.path, "lock");
    const first = await tryFileLock(path);
    expect(first).toBeDefined();
    expect(await tryFileLock(path)).toBeUndefined();
    await first?.[Symbol.asyncDispose]();
    const second = await tryFileLock(path);
    expect(second).toBeDefined();
    await second?.[Symbol.asyncDispose]();
    expect(await readdir(folder.path)).toEqual([]);
  });

  test.each([
    ["showed life a moment ago keeps it", 5, false],
    ["has not shown life for long loses it", 60, true],
  ])("whose holder on another host %s", async (_, age, taken) => {
    await using folder = await makeTemporaryFolder();
    const path = join(folder.path, "lock");
    await symlink(stranger, path);
    await setAge(path, age);
    const lock = await tryFileLock(path);
    expect(lock !== undefined).toBe(taken);
    await lock?.[Symbol.asyncDispose]();
  });

  test("shows by its age that its holder lives", async () => {
    await using folder = await makeTemporaryFolder();
    const path = join(folder.path, "lock");
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    await using _lock = await tryFileLock(path);
    await setAge(path, 60);
    vi.advanceTimersByTime(10_000);
    await expect.poll(async () => Date.now() - (await lstat(path)).mtimeMs).toBeLessThan(30_000);
  });
});
