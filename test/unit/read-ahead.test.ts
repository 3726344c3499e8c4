import fc from "fast-check";
import { expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import type { MemoryGrant } from "../../src/pack/chunk-memory.ts";
import { readAhead } from "../../src/pack/read-ahead.ts";
import type { ReadChunk, ReadJob } from "../../src/pack/read-jobs.ts";

const page = 1_048_576;
const budgetBytes = 20 * page;
const largestJob = 6 * page;
const file = {
  path: "f",
  size: 1e9,
  location: "/f",
  stamp: { device: 0n, inode: 0n, size: 1e9, mtimeNs: 0n },
};

/** Jobs that fill their memory with their number, and what they have from the budget. */
function countingJobs(sizes: readonly number[]) {
  const state = { outstanding: 0, most: 0, begun: 0 };
  function chunk(memory: MemoryGrant, offset: number, size: number): ReadChunk {
    for (const each of memory.pages) each.fill(offset % 256);
    let held = true;
    const release = () => {
      if (!held) return;
      held = false;
      state.outstanding -= size;
      memory.giveBack(0, size);
    };
    return { file, offset, size, digest: digestOf(""), bytes: memory.pages, release };
  }
  async function* jobs(): AsyncGenerator<ReadJob, void, undefined> {
    for (const [at, size] of sizes.entries())
      yield {
        bytes: size,
        async read(memory) {
          state.begun += 1;
          state.outstanding += size;
          state.most = Math.max(state.most, state.outstanding);
          await Promise.resolve();
          return [chunk(memory, at, size)];
        },
      };
  }
  return { state, jobs: jobs() };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("a consumer that holds the budget less one job gets all, in order, untouched", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.integer({ min: 1, max: 6 }).map((pages) => pages * page - 7),
        { maxLength: 60 },
      ),
      fc.infiniteStream(fc.nat(1000)),
      async (sizes, picks) => {
        const { state, jobs } = countingJobs(sizes);
        const held: ReadChunk[] = [];
        let heldBytes = 0;
        let at = 0;
        for await (const chunk of readAhead(jobs, { budgetBytes })) {
          expect(chunk.offset).toBe(at);
          at += 1;
          held.push(chunk);
          heldBytes += chunk.size + 7;
          while (heldBytes > budgetBytes - largestJob) {
            const pick = (picks.next().value ?? 0) % held.length;
            const [released] = held.splice(pick, 1);
            heldBytes -= (released?.size ?? -7) + 7;
            released?.release();
          }
          for (const { bytes, offset } of held)
            for (const each of bytes)
              expect([each[0], each.at(-1)]).toEqual([offset % 256, offset % 256]);
        }
        expect(at).toBe(sizes.length);
        expect(state.most).toBeLessThanOrEqual(budgetBytes);
      },
    ),
    { numRuns: 50 },
  );
});

test("it begins no more than the budget, and one more after a release", async () => {
  const { state, jobs } = countingJobs(Array<number>(10).fill(largestJob));
  const reader = readAhead(jobs, { budgetBytes });
  const first = await reader.next();
  await turn();
  expect(state.begun).toBe(3);
  first.value?.release();
  await turn();
  expect(state.begun).toBe(4);
  await reader.return();
});

test("it begins no more than 64 jobs ahead, however small", async () => {
  const { state, jobs } = countingJobs(Array<number>(200).fill(1));
  const reader = readAhead(jobs, { budgetBytes: 100 * page });
  await reader.next();
  for (let at = 0; at < 100; at += 1) await turn();
  expect(state.begun).toBe(65);
  await reader.return();
});

test("a failure in the list of jobs comes after the chunks before it", async () => {
  async function* jobs() {
    yield* countingJobs([1, 2]).jobs;
    throw new Error("no more");
  }
  const reader = readAhead(jobs(), { budgetBytes });
  expect((await reader.next()).value?.size).toBe(1);
  expect((await reader.next()).value?.size).toBe(2);
  await expect(reader.next()).rejects.toThrow("no more");
});

test("it returns only once what it began has ended", async () => {
  const { jobs } = countingJobs([1, 1, 1]);
  let reading = 0;
  async function* slowly(): AsyncGenerator<ReadJob> {
    for await (const job of jobs)
      yield {
        ...job,
        read: async (memory) => {
          reading += 1;
          for (let turns = 0; turns < 5 * reading; turns += 1) await turn();
          reading -= 1;
          return job.read(memory);
        },
      };
  }
  const reader = readAhead(slowly(), { budgetBytes });
  await reader.next();
  expect(reading).toBeGreaterThan(0);
  await reader.return();
  expect(reading).toBe(0);
});
