import { expect, test } from "vitest";
import {
  createWorkQueue,
  type WorkQueueOptions,
} from "../../src/kubernetes/controller/work-queue.ts";

function run(options: Omit<WorkQueueOptions, "onFailure">) {
  const failures: string[] = [];
  const stop = new AbortController();
  const queue = createWorkQueue({
    firstPauseMs: 5,
    ...options,
    onFailure: (key, error) => failures.push(`${key}: ${String(error)}`),
  });
  const ended = queue.run(stop.signal);
  const end = async () => {
    stop.abort();
    await ended;
  };
  return { queue, failures, [Symbol.asyncDispose]: end };
}

test("what is added many times before its turn is worked on once", async () => {
  const done: string[] = [];
  await using scene = run({ lanes: 1, work: async (key) => void done.push(key) });
  for (const key of ["a", "b", "a", "b", "c"]) scene.queue.add(key);
  await expect.poll(() => done).toEqual(["a", "b", "c"]);
  scene.queue.add("a");
  await expect.poll(() => done).toEqual(["a", "b", "c", "a"]);
});

test("of one key one runs at a time, and a change meanwhile is not lost", async () => {
  let [running, most, runs] = [0, 0, 0];
  const gate = Promise.withResolvers<void>();
  await using scene = run({
    work: async () => {
      runs++;
      most = Math.max(most, ++running);
      await gate.promise;
      running--;
    },
  });
  scene.queue.add("a");
  await expect.poll(() => runs).toBe(1);
  scene.queue.add("a");
  scene.queue.add("a");
  await new Promise(setImmediate);
  expect(runs).toBe(1);
  gate.resolve();
  await expect.poll(() => runs).toBe(2);
  expect(most).toBe(1);
});

test("as many run at once as there are lanes, and one that waits stops no other", async () => {
  const started: string[] = [];
  const gate = Promise.withResolvers<void>();
  await using scene = run({
    lanes: 2,
    work: async (key) => {
      started.push(key);
      if (key === "slow") await gate.promise;
    },
  });
  for (const key of ["slow", "a", "b", "c"]) scene.queue.add(key);
  await expect.poll(() => started).toEqual(["slow", "a", "b", "c"]);
  gate.resolve();
});

test("what fails is done again after pauses that grow, and forgotten once it was done", async () => {
  const times: number[] = [];
  await using scene = run({
    work: async () => {
      times.push(performance.now());
      if (times.length < 5) throw new Error("not yet");
    },
  });
  scene.queue.add("a");
  await expect.poll(() => times.length).toBe(5);
  expect(scene.failures).toEqual(Array.from({ length: 4 }, () => "a: Error: not yet"));
  const [first = 0, second = 0, , fourth = 0, fifth = 0] = times;
  expect(second - first).toBeGreaterThanOrEqual(4);
  expect(fifth - fourth).toBeGreaterThanOrEqual(38);
});

test("a change does not wait for the pause after a failure", async () => {
  let runs = 0;
  await using scene = run({
    firstPauseMs: 60_000,
    work: async () => {
      if (++runs === 1) throw new Error("no");
    },
  });
  scene.queue.add("a");
  await expect.poll(() => scene.failures.length).toBe(1);
  scene.queue.add("a");
  await expect.poll(() => runs).toBe(2);
});

test("it ends when told, after what runs", async () => {
  const gate = Promise.withResolvers<void>();
  let [begun, done] = [false, false];
  const scene = run({
    work: async () => {
      begun = true;
      await gate.promise;
      done = true;
    },
  });
  scene.queue.add("a");
  await expect.poll(() => begun).toBe(true);
  const ended = scene[Symbol.asyncDispose]();
  gate.resolve();
  await ended;
  expect(done).toBe(true);
});
