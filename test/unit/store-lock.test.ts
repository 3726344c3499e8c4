import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { acquireLock } from "../../src/store/lock.ts";
import { makeFolder } from "../support/store-folders.ts";

const lockModule = join(import.meta.dirname, "../../src/store/lock.ts");

/** Runs a process that takes the lock and says so, then works until it is killed. */
async function startOwner(path: string) {
  return startProcess(`
    import { acquireLock } from ${JSON.stringify(lockModule)};
    await acquireLock(${JSON.stringify(path)});
    console.log("locked");
    setInterval(() => undefined, 1000);
  `);
}

/** Runs a process until it says something. */
async function startProcess(code: string) {
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  return {
    kill: async () => {
      child.kill("SIGKILL");
      await once(child, "close");
    },
  };
}

describe("the lock of a store", () => {
  test("a second opener is refused while the first has it, and gets it afterwards", async () => {
    await using folder = await makeFolder();
    const path = join(folder.path, "lock");
    const first = await acquireLock(path);
    await expect(acquireLock(path)).rejects.toMatchObject({ code: "STORE_LOCKED" });
    await first[Symbol.asyncDispose]();
    expect(await readdir(folder.path)).toEqual([]);
    await using _second = await acquireLock(path);
    expect(await readdir(folder.path)).toEqual(["lock"]);
  });

  test("a second opener waits when asked to, and says so once", async () => {
    await using folder = await makeFolder();
    const path = join(folder.path, "lock");
    const first = await acquireLock(path);
    const { promise: waiting, resolve } = Promise.withResolvers<void>();
    let told = 0;
    const onWait = () => {
      told += 1;
      resolve();
    };
    const second = acquireLock(path, { wait: true, onWait });
    await waiting;
    await first[Symbol.asyncDispose]();
    await (await second)[Symbol.asyncDispose]();
    expect(told).toBe(1);
  });

  test("a wait for the lock ends when its signal aborts", async () => {
    await using folder = await makeFolder();
    const path = join(folder.path, "lock");
    await using _first = await acquireLock(path);
    const stop = new AbortController();
    const reason = new Error("stop");
    const onWait = () => stop.abort(reason);
    await expect(acquireLock(path, { wait: true, onWait, signal: stop.signal })).rejects.toBe(
      reason,
    );
  });

  test("the lock of a killed process is taken over", async () => {
    await using folder = await makeFolder();
    const path = join(folder.path, "lock");
    const owner = await startOwner(path);
    await expect(acquireLock(path)).rejects.toMatchObject({ code: "STORE_LOCKED" });
    await owner.kill();
    expect(await readdir(folder.path)).toEqual(["lock"]);
    await using _lock = await acquireLock(path);
    await expect(acquireLock(path)).rejects.toMatchObject({ code: "STORE_LOCKED" });
  });

  test("of many that meet a dead lock exactly one gets it", async () => {
    await using folder = await makeFolder();
    const path = join(folder.path, "lock");
    const owner = await startOwner(path);
    await owner.kill();
    for (let round = 0; round < 20; round += 1) {
      // A plain file refuses connections as the socket of a dead process does.
      if (round > 0) await writeFile(path, "");
      const tries = await Promise.allSettled(Array.from({ length: 8 }, () => acquireLock(path)));
      const winners = tries.filter((each) => each.status === "fulfilled");
      expect(winners).toHaveLength(1);
      await winners[0]?.value[Symbol.asyncDispose]();
      expect(await readdir(folder.path)).toEqual([]);
    }
  });

  test("a root too deep for a socket's name works", async () => {
    await using folder = await makeFolder();
    const deep = join(folder.path, ..."abcdefgh".split("").map((letter) => letter.repeat(40)));
    await mkdir(deep, { recursive: true });
    const path = join(deep, "lock");
    const first = await acquireLock(path);
    await expect(acquireLock(path)).rejects.toMatchObject({ code: "STORE_LOCKED" });
    await first[Symbol.asyncDispose]();
    expect(await readdir(deep)).toEqual([]);
    await writeFile(path, "");
    await using _again = await acquireLock(path);
  });
});
