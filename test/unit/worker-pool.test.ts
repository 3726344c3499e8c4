import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createCondition } from "../../src/core/condition.ts";
import { createWorkerPool, threadCount } from "../../src/core/worker-pool.ts";
import { answerQuestions, startWorkerThread } from "../../src/core/worker-thread.ts";
import { workerUrl } from "../../src/core/worker-url.ts";

type Question = { say: string } | { fail: string } | { crash: true } | { wait: SharedArrayBuffer };

const threadModule = new URL("../../src/core/worker-thread.ts", import.meta.url).href;
const errorsModule = new URL("../../src/core/errors.ts", import.meta.url).href;
const program = `
import { parentPort } from "node:worker_threads";
import { answerQuestions } from ${JSON.stringify(threadModule)};
import { ModelError } from ${JSON.stringify(errorsModule)};
answerQuestions(parentPort, async (question, tell) => {
  if (question.fail === "model") throw new ModelError("NO_SPACE", "full", { hint: "delete" });
  if (question.fail !== undefined) throw new TypeError(question.fail);
  if (question.crash) setImmediate(() => { throw new Error("crashed"); });
  if (question.crash) await new Promise(() => {});
  if (question.wait) Atomics.wait(new Int32Array(question.wait), 0, 0);
  if (question.wait) return "waited";
  tell("note of " + question.say);
  await new Promise((resolve) => setImmediate(resolve));
  return question.say;
});
`;

let folder: string;
let url: URL;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ballast-worker-"));
  await writeFile(join(folder, "echo-worker.mjs"), program);
  url = pathToFileURL(join(folder, "echo-worker.mjs"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("a thread", () => {
  test("answers in the order asked, each with its own notes", async () => {
    await using thread = startWorkerThread<Question, string, string>(url);
    const notes: string[] = [];
    const ask = (say: string) =>
      thread.ask({ say }, { onNote: (note) => notes.push(`${say}: ${note}`) });
    const asked = Promise.all([ask("a"), ask("b"), ask("c")]);
    expect(thread.pending).toBe(3);
    expect(await asked).toEqual(["a", "b", "c"]);
    expect(notes).toEqual(["a: note of a", "b: note of b", "c: note of c"]);
    expect(thread.pending).toBe(0);
  });

  test("knows how much it waited: not at all while it starts or works, all of a pause", async () => {
    await using thread = startWorkerThread<Question, string, string>(url);
    expect(thread.idleShare()).toBe(0);
    await thread.ask({ say: "up" });
    const held = new SharedArrayBuffer(4);
    const working = thread.ask({ wait: held });
    await expect.poll(() => thread.idleShare()).toBeLessThan(0.1);
    Atomics.store(new Int32Array(held), 0, 1);
    Atomics.notify(new Int32Array(held), 0);
    await working;
    await expect.poll(() => thread.idleShare()).toBeGreaterThan(0.9);
  });

  test("passes a ModelError on with code, message and hint", async () => {
    await using thread = startWorkerThread<Question, string>(url);
    await expect(thread.ask({ fail: "model" })).rejects.toMatchObject({
      name: "ModelError",
      code: "NO_SPACE",
      message: "full",
      hint: "delete",
    });
    expect(await thread.ask({ say: "alive" })).toBe("alive");
  });

  test("passes another error on with its message", async () => {
    await using thread = startWorkerThread<Question, string>(url);
    await expect(thread.ask({ fail: "odd" })).rejects.toThrow("TypeError: odd");
  });

  test("that crashes rejects what was asked and what is asked later", async () => {
    await using thread = startWorkerThread<Question, string>(url);
    await expect(thread.ask({ crash: true })).rejects.toThrow("echo-worker.mjs failed");
    await expect(thread.ask({ say: "a" })).rejects.toThrow("echo-worker.mjs failed");
  });

  test("that is disposed of rejects with CANCELLED", async () => {
    const thread = startWorkerThread<Question, string>(url);
    const asked = thread.ask({ wait: new SharedArrayBuffer(4) });
    const settled = Promise.allSettled([asked]);
    await thread[Symbol.asyncDispose]();
    expect(await settled).toMatchObject([{ status: "rejected", reason: { code: "CANCELLED" } }]);
  });
});

describe("a pool", () => {
  test("gives each thread one question at a time, urgent ones first", async () => {
    await using pool = createWorkerPool<Question, string, string>(url, 1);
    const gate = new SharedArrayBuffer(4);
    const order: string[] = [];
    const ask = async (question: Question, urgent = false) =>
      void order.push(await pool.ask(question, { urgent }));
    const asked = [
      ask({ wait: gate }),
      ask({ say: "a" }),
      ask({ say: "b" }),
      ask({ say: "u" }, true),
    ];
    Atomics.store(new Int32Array(gate), 0, 1);
    Atomics.notify(new Int32Array(gate), 0);
    await Promise.all(asked);
    expect(order).toEqual(["waited", "u", "a", "b"]);
  });

  test("goes on after a question that failed", async () => {
    await using pool = createWorkerPool<Question, string>(url, 2);
    const asked = [{ fail: "odd" }, { say: "a" }, { fail: "odd" }, { say: "b" }];
    const settled = await Promise.allSettled(asked.map((question) => pool.ask(question)));
    expect(settled.map(({ status }) => status)).toEqual([
      "rejected",
      "fulfilled",
      "rejected",
      "fulfilled",
    ]);
  });

  test("that is disposed of rejects what runs, what waits and what comes", async () => {
    const pool = createWorkerPool<Question, string>(url, 1);
    const asked = [pool.ask({ wait: new SharedArrayBuffer(4) }), pool.ask({ say: "a" })];
    const settled = Promise.allSettled(asked);
    await pool[Symbol.asyncDispose]();
    for (const result of await settled)
      expect(result).toMatchObject({ status: "rejected", reason: { code: "CANCELLED" } });
    await expect(pool.ask({ say: "b" })).rejects.toMatchObject({ code: "CANCELLED" });
  });
});

test("a worker file is found beside the module, with the module's extension", () => {
  expect(workerUrl("x-worker", "file:///a/src/b.ts").href).toBe("file:///a/src/x-worker.ts");
  expect(workerUrl("x-worker", "file:///a/dist/b.js").href).toBe("file:///a/dist/x-worker.js");
});

test.each([0, -1, 1.5, Number.NaN])("%d threads are refused", (threads) => {
  expect(() => threadCount(threads)).toThrow("threads is");
});

test("without a number there is a thread per core", () => {
  expect(threadCount()).toBeGreaterThan(0);
});

test("questions are answered in worker threads only", () => {
  expect(() => answerQuestions(null, () => undefined)).toThrow("worker thread only");
});

test("those who wait on a condition are asked again after each notify", async () => {
  const condition = createCondition();
  let count = 0;
  const third = condition.until(() => (count === 3 ? "three" : undefined));
  const first = condition.until(() => (count > 0 ? count : undefined));
  for (; count < 3; condition.notify()) {
    count += 1;
    await Promise.resolve();
  }
  expect(await first).toBeGreaterThan(0);
  expect(await third).toBe("three");
});
