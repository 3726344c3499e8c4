import { beforeEach, describe, expect, test } from "vitest";
import { IndexChanges } from "../../src/oci/layout/index-changes.ts";
import {
  emptyLayoutIndex,
  type LayoutIndex,
  parseLayoutIndex,
} from "../../src/oci/layout/layout-index.ts";

/** An index whose only content is a list of names. */
const named = (names: readonly string[]) =>
  parseLayoutIndex(Buffer.from(JSON.stringify({ names, manifests: [] })), "it");
const namesOf = ({ document }: LayoutIndex) => (document["names"] ?? []) as string[];
const add = (name: string) => (index: LayoutIndex) => named([...namesOf(index), name]);

let kept: LayoutIndex;
let writes: string[][];
let failure: Error | undefined;
let lock: { held: Promise<void>; signals: AbortSignal[] };
let changes: IndexChanges;

beforeEach(() => {
  kept = emptyLayoutIndex;
  writes = [];
  failure = undefined;
  lock = { held: Promise.resolve(), signals: [] };
  changes = new IndexChanges({
    alone: async (work, { signal }) => {
      if (signal !== undefined) lock.signals.push(signal);
      await Promise.race([lock.held, aborted(signal)]);
      await work();
    },
    read: () => Promise.resolve(kept),
    write: (index) => {
      if (failure !== undefined) return Promise.reject(failure);
      kept = index;
      writes.push(namesOf(index));
      return Promise.resolve();
    },
  });
});

describe("changes of an index", () => {
  test("that come one by one are written one by one", async () => {
    await changes.make({ edit: add("a") });
    await changes.make({ edit: add("b") });
    expect(writes).toEqual([["a"], ["a", "b"]]);
  });

  test("that come while one is written share the next write, in their order", async () => {
    const names = Array.from({ length: 20 }, (_, at) => String(at));
    await Promise.all(names.map((name) => changes.make({ edit: add(name) })));
    expect(namesOf(kept)).toEqual(names);
    expect(writes.length).toBeLessThanOrEqual(2);
  });

  test("that are many are written in several turns", async () => {
    const names = Array.from({ length: 200 }, (_, at) => String(at));
    await Promise.all(names.map((name) => changes.make({ edit: add(name) })));
    expect(namesOf(kept)).toEqual(names);
    expect(writes.length).toBeGreaterThan(2);
  });

  test("that change nothing are not written", async () => {
    await changes.make({ edit: (index) => index });
    expect(writes).toEqual([]);
  });

  test("of which one is refused are made but for that one", async () => {
    const refused = changes.make({ edit: () => Promise.reject(new Error("no such blob")) });
    const others = ["a", "b"].map((name) => changes.make({ edit: add(name) }));
    await expect(refused).rejects.toThrow("no such blob");
    await Promise.all(others);
    expect(namesOf(kept)).toEqual(["a", "b"]);
  });

  test("whose write fails all fail, and the next ones go on", async () => {
    failure = new Error("disk full");
    const failed = ["a", "b"].map((name) => changes.make({ edit: add(name) }));
    for (const each of failed) await expect(each).rejects.toThrow("disk full");
    failure = undefined;
    await changes.make({ edit: add("c") });
    expect(namesOf(kept)).toEqual(["c"]);
  });
});

describe("what is done after a change", () => {
  test("is done once that is written, and before any later change looks", async () => {
    const seen: string[] = [];
    await Promise.all([
      changes.make({ edit: add("a") }),
      changes.make({
        edit: add("b"),
        afterwards: () => {
          seen.push(`after ${namesOf(kept).join()}`);
          return Promise.resolve();
        },
      }),
      changes.make({
        edit: (index) => {
          seen.push(`c sees ${namesOf(index).join()}`);
          return add("c")(index);
        },
      }),
    ]);
    expect(seen).toEqual(["after a,b", "c sees a,b"]);
    expect(namesOf(kept)).toEqual(["a", "b", "c"]);
  });

  test("is not done when the change is refused or not written", async () => {
    let done = 0;
    const afterwards = () => Promise.resolve(void (done += 1));
    const refused = changes.make({ edit: () => Promise.reject(new Error("needed")), afterwards });
    await expect(refused).rejects.toThrow("needed");
    failure = new Error("disk full");
    await expect(changes.make({ edit: add("a"), afterwards })).rejects.toThrow("disk full");
    expect(done).toBe(0);
  });
});

describe("a change that is given up while it waits", () => {
  test("is not made; the others are", async () => {
    const [held, stop] = [Promise.withResolvers<void>(), new AbortController()];
    lock.held = held.promise;
    const first = changes.make({ edit: add("a"), signal: stop.signal });
    const second = changes.make({ edit: add("b") });
    stop.abort(new Error("enough"));
    await expect(first).rejects.toThrow("enough");
    held.resolve();
    await second;
    expect(namesOf(kept)).toEqual(["b"]);
  });

  test("ends the wait for the lock where nobody else waits", async () => {
    const [held, stop] = [Promise.withResolvers<void>(), new AbortController()];
    lock.held = held.promise;
    const only = changes.make({ edit: add("a"), signal: stop.signal });
    stop.abort(new Error("enough"));
    await expect(only).rejects.toThrow("enough");
    await changes.settle();
    expect(lock.signals.map(({ aborted: gone }) => gone)).toEqual([true]);
    held.resolve();
    await changes.make({ edit: add("b") });
    expect(namesOf(kept)).toEqual(["b"]);
  });

  test("is not begun when that was so before", async () => {
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(changes.make({ edit: add("a"), signal })).rejects.toThrow("enough");
    expect(lock.signals).toEqual([]);
  });
});

function aborted(signal: AbortSignal | undefined): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  signal?.addEventListener("abort", () => reject(signal.reason as Error));
  promise.catch(() => undefined);
  return promise;
}
