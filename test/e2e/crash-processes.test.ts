import { once } from "node:events";
import { mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openStore } from "../../src/store/store.ts";
import { type CommandResult, runBallast, startBallast } from "../support/ballast-command.ts";
import { startLibraryProcess } from "../support/library-process.ts";
import { mebi, openWorkplace, readTree, snapshot, type Workplace } from "../support/workplace.ts";

let place: Workplace;
let source: string;

beforeEach(async () => {
  place = await openWorkplace();
  source = await place.writeModel();
  await place.push(source, "team/model:v1");
});
afterEach(async () => place[Symbol.asyncDispose]());

const store = (...names: string[]) => place.inside("store", ...names);
const argumentsOf = (name: string) => ["pull", place.ref(name), "--store", store()];
const pullAsCommand = (name = "team/model:v1"): Promise<CommandResult> =>
  runBallast(argumentsOf(name), { home: place.path });
const expectPulled = async ({ code, out }: CommandResult, expected = source) => {
  expect(code).toBe(0);
  expect(await readTree(out.trim())).toEqual(await readTree(expected));
};

describe("two processes at one store", () => {
  test("that pull the same model both get it, and it is fetched once", async () => {
    place.requests.length = 0;
    const [first, second] = await Promise.all([pullAsCommand(), pullAsCommand()]);
    await expectPulled(first);
    await expectPulled(second);
    expect(second.out).toBe(first.out);
    const both = `${first.err}${second.err}`;
    expect(both).toContain("fetched: 5.0 MiB");
    expect(both).toContain("fetched: 0 B");
    expect(await readdir(store("trash"))).toEqual([]);
  });

  test("that pull different models both get theirs", async () => {
    const other = await place.writeModel("other", "b");
    await place.push(other, "team/other:v1");
    const [first, second] = await Promise.all([pullAsCommand(), pullAsCommand("team/other:v1")]);
    expect([first.code, second.code]).toEqual([0, 0]);
    await expectPulled(first);
    await expectPulled(second, other);
  });

  test("take turns: the one that waits says so, and goes on when the other ends", async () => {
    const owner = await openStore(store());
    const waiting = startBallast(argumentsOf("team/model:v1"), { home: place.path });
    let told = "";
    const { promise: isTold, resolve } = Promise.withResolvers<void>();
    waiting.child.stderr?.on("data", (piece: Buffer) => {
      told += piece.toString();
      if (told.includes("waiting for another process to finish with the store")) resolve();
    });
    await isTold;
    expect(told).toContain("waiting");
    await owner[Symbol.asyncDispose]();
    await expectPulled(await waiting.result);
  });
});

describe("a store that a newer Ballast wrote", () => {
  test.each([
    ["pull", () => argumentsOf("team/model:v1")],
    ["store gc", () => ["store", "gc", "--store", store()]],
    ["store verify", () => ["store", "verify", "--store", store()]],
  ])("is refused by %s with what to do, and left as it is", async (_, args) => {
    await mkdir(store());
    await writeFile(store("VERSION"), "2\n");
    const before = await snapshot(store());
    const { code, err } = await runBallast(args(), { home: place.path });
    expect(code).not.toBe(0);
    expect(err).toContain("has format 2");
    expect(err).toContain("upgrade it, or use another --store");
    expect(await snapshot(store())).toEqual(before);
  });
});

describe("a pull that finds the store's lock", () => {
  test("left by a killed process takes it over at once", async () => {
    const root = JSON.stringify(store());
    const script = `
      const { openStore } = await import(${JSON.stringify(join(import.meta.dirname, "../../src/store/store.ts"))});
      await openStore(${root});
      console.log("open");
      setInterval(() => undefined, 1000);
    `;
    const owner = startLibraryProcess(script);
    await once(owner.stdout, "data");
    owner.kill("SIGKILL");
    await once(owner, "close");
    expect((await stat(store("lock"))).isSocket()).toBe(true);
    const pulled = await pullAsCommand();
    await expectPulled(pulled);
    expect(pulled.err).not.toContain("waiting");
    expect(await readdir(store())).not.toContain("lock");
  });

  test("replaced by an unrelated file takes its place", async () => {
    await pullAsCommand();
    await writeFile(store("lock"), "not a socket");
    await expectPulled(await pullAsCommand());
    expect(await readdir(store())).not.toContain("lock");
  });

  test("replaced by a folder says what is in its way, and leaves it", async () => {
    await pullAsCommand();
    await mkdir(store("lock"));
    await writeFile(store("lock", "mine"), "mine");
    const { code, err } = await pullAsCommand();
    expect(code).not.toBe(0);
    expect(err).toContain(store());
    expect(await readFile(store("lock", "mine"), "utf8")).toBe("mine");
  });
});

describe("what killed processes left beside the lock", () => {
  /** As `ownProcess` names it: this host and boot cannot be known, so one that is long gone. */
  const gone = async () => {
    const child = startLibraryProcess(`
      const { ownProcess } = await import(${JSON.stringify(join(import.meta.dirname, "../../src/core/process-identity.ts"))});
      console.log(ownProcess());
    `);
    const [name] = (await once(child.stdout, "data")) as [Buffer];
    await once(child, "close");
    return name.toString().trim();
  };

  test("goes when the store is next opened; a contender that lives stays", async () => {
    await (await openStore(store()))[Symbol.asyncDispose]();
    const clean = await readdir(store());
    await writeFile(store("lock.01234567"), "");
    await writeFile(store("VERSION.tmp-0123456789ab"), "");
    await symlink(await gone(), store("lock.break"));
    const living = createServer().listen(store("lock.89abcdef"));
    await once(living, "listening");
    await (await openStore(store()))[Symbol.asyncDispose]();
    expect((await readdir(store())).sort()).toEqual([...clean, "lock.89abcdef"].sort());
    living.close();
    await once(living, "close");
  });

  test("and beside the state of an output folder goes with the next pull", async () => {
    const output = place.inside("out");
    const pullInto = () =>
      runBallast(["pull", place.ref("team/model:v1"), "-o", output], { home: place.path });
    expect((await pullInto()).code).toBe(0);
    const clean = await readdir(join(output, ".ballast"));
    await writeFile(join(output, ".ballast", "pulled.json.tmp-0123456789ab"), "{");
    await writeFile(join(output, ".ballast", "lock.01234567"), "");
    await mkdir(join(output, ".ballast", "placing"));
    await writeFile(join(output, ".ballast", "placing", "0123456789abcdef"), Buffer.alloc(mebi));
    expect((await pullInto()).code).toBe(0);
    expect(await readdir(join(output, ".ballast"))).toEqual(clean);
    expect(await readTree(output)).toEqual(await readTree(source));
  });
});
