import { expect, test } from "vitest";
import { createKeyedMutex } from "../../src/core/keyed-mutex.ts";

test("of one key one runs at a time, in the order they asked; other keys do not wait", async () => {
  const mutex = createKeyedMutex();
  const seen: string[] = [];
  const gate = Promise.withResolvers<void>();
  const first = mutex.hold("a", async () => {
    await gate.promise;
    seen.push("a1");
  });
  const second = mutex.hold("a", async () => void seen.push("a2"));
  await mutex.hold("b", async () => void seen.push("b"));
  gate.resolve();
  await Promise.all([first, second]);
  expect(seen).toEqual(["b", "a1", "a2"]);
});

test("a failure lets the next in", async () => {
  const mutex = createKeyedMutex();
  const failed = mutex.hold("a", () => Promise.reject(new Error("no")));
  const next = mutex.hold("a", async () => "in");
  await expect(failed).rejects.toThrow("no");
  expect(await next).toBe("in");
});

test("an aborted wait ends, and lets those behind it wait on", async () => {
  const mutex = createKeyedMutex();
  const gate = Promise.withResolvers<void>();
  const first = mutex.hold("a", () => gate.promise);
  const leaving = new AbortController();
  const second = mutex.hold("a", async () => "never", { signal: leaving.signal });
  const third = mutex.hold("a", async () => "third");
  leaving.abort(new Error("left"));
  await expect(second).rejects.toThrow("left");
  gate.resolve();
  await first;
  expect(await third).toBe("third");
});
