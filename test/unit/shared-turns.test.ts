import { expect, test } from "vitest";
import { inSharedTurns } from "../../src/oci/layout/shared-turns.ts";

/** Work that ends when it is told to, and counts its runs. */
function heldWork() {
  const runs: PromiseWithResolvers<number>[] = [];
  const work = () => {
    const run = Promise.withResolvers<number>();
    runs.push(run);
    return run.promise;
  };
  return { runs, work };
}

test("who calls while the work runs shares the run after it, which is one", async () => {
  const { runs, work } = heldWork();
  const read = inSharedTurns(work);
  const first = read();
  const later = [read(), read(), read()];
  expect(runs).toHaveLength(1);
  runs[0]?.resolve(1);
  expect(await first).toBe(1);
  expect(runs).toHaveLength(2);
  const last = read();
  runs[1]?.resolve(2);
  expect(await Promise.all(later)).toEqual([2, 2, 2]);
  await expect.poll(() => runs.length).toBe(3);
  runs[2]?.resolve(3);
  expect(await last).toBe(3);
});

test("work that fails fails for those who share it only", async () => {
  const { runs, work } = heldWork();
  const read = inSharedTurns(work);
  const [first, second] = [read(), read()];
  runs[0]?.reject(new Error("broken"));
  await expect(first).rejects.toThrow("broken");
  runs[1]?.resolve(2);
  expect(await second).toBe(2);
  const third = read();
  runs[2]?.resolve(3);
  expect(await third).toBe(3);
});
