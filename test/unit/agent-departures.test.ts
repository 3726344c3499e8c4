import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createDepartures, type Departures } from "../../src/agent/departures.ts";
import { digestOf } from "../../src/core/digest.ts";
import { nameOf } from "../../src/model/stored-models.ts";
import type { StoredRecord } from "../../src/store/model-record.ts";
import { originOf } from "../../src/store/store-paths.ts";

const patienceMs = 5_000;

function modelOf(name: string, digest = digestOf(name)): StoredRecord {
  return {
    origin: originOf(`registry.example.com/team/${name}`),
    manifest: digest,
    index: digest,
    treeId: "t",
    bytes: 1,
    files: 1,
    tags: [],
    pinned: false,
    lastUsed: new Date(0),
  };
}

let departures: Departures;
let done: string[];

beforeEach(() => {
  vi.useFakeTimers();
  departures = createDepartures();
  done = [];
});
afterEach(() => {
  vi.useRealTimers();
});

/** Lets go, noting when the work was done. */
const leave = (names: readonly string[], signal?: AbortSignal) =>
  departures.leave(
    names.map((name) => modelOf(name)),
    async () => {
      done.push(names.join());
      return names.length;
    },
    { signal },
  );

describe("models that are to go", () => {
  test("go at once where nobody follows", async () => {
    expect(await leave(["a"])).toBe(1);
    expect(done).toEqual(["a"]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("go at once where there are none", async () => {
    using _ = departures.follow();
    expect(await leave([])).toBe(0);
  });

  test("are announced, and go once all of them are withdrawn", async () => {
    using _ = departures.follow();
    const announced = departures.announced();
    const left = leave(["a", "b"]);
    await announced;
    expect(departures.isLeaving(nameOf(modelOf("a")))).toBe(true);
    expect(departures.isLeaving(nameOf(modelOf("c")))).toBe(false);
    departures.withdraw([digestOf("a"), digestOf("c")]);
    await vi.advanceTimersByTimeAsync(100);
    expect(done).toEqual([]);
    departures.withdraw([digestOf("b")]);
    expect(await left).toBe(2);
    expect(departures.isLeaving(nameOf(modelOf("a")))).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("of one digest from several repositories are withdrawn together", async () => {
    using _ = departures.follow();
    const digest = digestOf("a");
    const both = [modelOf("a", digest), modelOf("b", digest)];
    const left = departures.leave(both, async () => "gone");
    departures.withdraw([digest]);
    expect(await left).toBe("gone");
  });

  test("wait five seconds for a follower that says nothing, and no longer", async () => {
    using _ = departures.follow();
    const left = leave(["a"]);
    await vi.advanceTimersByTimeAsync(patienceMs - 1);
    expect(done).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    await left;
    expect(done).toEqual(["a"]);
  });

  test("go when the last follower does", async () => {
    const [one, other] = [departures.follow(), departures.follow()];
    expect(departures.isFollowed).toBe(true);
    const left = leave(["a"]);
    one[Symbol.dispose]();
    await vi.advanceTimersByTimeAsync(100);
    expect(done).toEqual([]);
    other[Symbol.dispose]();
    await left;
    expect(departures.isFollowed).toBe(false);
  });

  test("stay when who let them go gives up, and are leaving no more", async () => {
    using _ = departures.follow();
    const stop = new AbortController();
    const left = leave(["a"], stop.signal);
    stop.abort(new Error("stopped"));
    await expect(left).rejects.toThrow("stopped");
    expect(done).toEqual([]);
    expect(departures.isLeaving(nameOf(modelOf("a")))).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("are leaving until the work is done, and no more when it fails", async () => {
    using _ = departures.follow();
    const work = Promise.withResolvers<void>();
    const left = departures.leave([modelOf("a")], () => work.promise);
    departures.withdraw([digestOf("a")]);
    await vi.advanceTimersByTimeAsync(100);
    expect(departures.isLeaving(nameOf(modelOf("a")))).toBe(true);
    work.reject(new Error("in use"));
    await expect(left).rejects.toThrow("in use");
    expect(departures.isLeaving(nameOf(modelOf("a")))).toBe(false);
  });

  test("that leave twice at once are leaving until both are done", async () => {
    using _ = departures.follow();
    const slow = Promise.withResolvers<void>();
    const first = departures.leave([modelOf("a")], () => slow.promise);
    const second = leave(["a"]);
    departures.withdraw([digestOf("a")]);
    await second;
    expect(departures.isLeaving(nameOf(modelOf("a")))).toBe(true);
    slow.resolve();
    await first;
    expect(departures.isLeaving(nameOf(modelOf("a")))).toBe(false);
  });

  test("are announced to who asked before, each time", async () => {
    using _ = departures.follow();
    let heard = 0;
    for (const name of ["a", "b"]) {
      const announced = departures.announced().then(() => heard++);
      const left = leave([name]);
      await announced;
      departures.withdraw([digestOf(name)]);
      await left;
    }
    expect(heard).toBe(2);
  });
});
