import { existsSync } from "node:fs";
import { request } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { StatusDocument } from "../../src/agent/api/documents.ts";
import { socketPath } from "../../src/agent/api/routes.ts";
import { defaultConfig } from "../../src/agent/config.ts";
import { type Digest, digestOf, parseDigest } from "../../src/core/digest.ts";
import { type AgentPlace, openAgentPlace } from "../support/agent-place.ts";

let place: AgentPlace;
const resources: Disposable[] = [];

beforeEach(async () => {
  place = await openAgentPlace();
});
afterEach(async () => {
  for (const each of resources.splice(0)) each[Symbol.dispose]();
  await place[Symbol.asyncDispose]();
});

const eventually = { timeout: 10_000, interval: 10 };

interface Follower {
  /** What it was told last. */
  readonly status: () => StatusDocument | undefined;
  readonly leaving: () => string[];
  stop(): void;
}

/** Watches as a reporter does; with `withdraws` it does so for each model that is leaving. */
async function follow({
  tells = true,
  withdraws = false,
}: {
  tells?: boolean;
  withdraws?: boolean;
} = {}): Promise<Follower> {
  const client = place.client("locality");
  const stop = new AbortController();
  let status: StatusDocument | undefined;
  const leaving = () => (status?.models ?? []).filter((each) => each.leaving);
  const run = async () => {
    for await (const next of client.watch({ tells, signal: stop.signal })) {
      status = next;
      const digests = leaving().map(({ digest }) => digest);
      if (withdraws && digests.length > 0) await client.withdraw({ digests });
    }
  };
  run().catch(() => undefined);
  resources.push({ [Symbol.dispose]: () => stop.abort() });
  await expect.poll(() => status, eventually).toBeDefined();
  return {
    status: () => status,
    leaving: () => leaving().map(({ name }) => name),
    stop: () => stop.abort(),
  };
}

/** Pulls it; resolves to its tree. */
async function bring(name: string): Promise<{ digest: Digest; tree: string }> {
  const digest = parseDigest(await place.push(name));
  const { tree } = await place.client("admin").prefetch({ reference: place.ref(name) });
  return { digest, tree };
}

/** How long `work` took, in milliseconds. */
async function time(work: Promise<unknown>): Promise<number> {
  const begun = performance.now();
  await work;
  return performance.now() - begun;
}

const remove = (digest: Digest) => place.client("admin").remove({ model: digest });

describe("a model that is to be removed", () => {
  test("is leaving first, and goes when it was withdrawn", async () => {
    const { digest, tree } = await bring("team/a:v1");
    const follower = await follow();
    const removed = remove(digest);
    await expect.poll(follower.leaving, eventually).toHaveLength(1);
    expect(existsSync(tree)).toBe(true);
    expect(follower.status()?.models).toMatchObject([{ digest, whole: true, leaving: true }]);
    expect(await time(place.client("locality").withdraw({ digests: [digest] }))).toBeLessThan(1000);
    expect(await removed).toMatchObject({ removed: [expect.stringContaining(digest)] });
    expect(existsSync(tree)).toBe(false);
  });

  test("waits five seconds for a follower that says nothing", async () => {
    const { digest, tree } = await bring("team/a:v1");
    await follow();
    const removed = remove(digest);
    const tookMs = await time(removed);
    expect(tookMs).toBeGreaterThan(4900);
    expect(tookMs).toBeLessThan(7000);
    expect(existsSync(tree)).toBe(false);
  });

  test("does not wait without followers, nor for those who only watch", async () => {
    const first = await bring("team/a:v1");
    expect(await time(remove(first.digest))).toBeLessThan(2000);
    const second = await bring("team/b:v1");
    await follow({ tells: false });
    expect(await time(remove(second.digest))).toBeLessThan(2000);
  });

  test("goes when its follower does", async () => {
    const { digest, tree } = await bring("team/a:v1");
    const follower = await follow();
    const removed = remove(digest);
    await expect.poll(follower.leaving, eventually).toHaveLength(1);
    follower.stop();
    expect(await time(removed)).toBeLessThan(3000);
    expect(existsSync(tree)).toBe(false);
  });

  test("stays, and is leaving no more, when somebody mounted it meanwhile", async () => {
    const { digest, tree } = await bring("team/a:v1");
    const follower = await follow();
    const removed = remove(digest);
    await expect.poll(follower.leaving, eventually).toHaveLength(1);
    await place.client("mount").acquire(place.volume("team/a:v1", "/pods/a"));
    await place.client("locality").withdraw({ digests: [digest] });
    await expect(removed).rejects.toMatchObject({ code: "MODEL_IN_USE" });
    await expect.poll(follower.leaving, eventually).toEqual([]);
    expect(existsSync(tree)).toBe(true);
  });

  test("stays when who asked for it gave up waiting", async () => {
    const { digest, tree } = await bring("team/a:v1");
    const follower = await follow();
    const stop = new AbortController();
    const removed = place.client("admin").remove({ model: digest }, { signal: stop.signal });
    await expect.poll(follower.leaving, eventually).toHaveLength(1);
    stop.abort();
    await expect(removed).rejects.toThrow("abort");
    await expect.poll(follower.leaving, eventually).toEqual([]);
    await place.client("locality").withdraw({ digests: [digest] });
    expect(existsSync(tree)).toBe(true);
  });
});

describe("an eviction", () => {
  test("waits until all that go are withdrawn, and takes no others", async () => {
    const trees = [await bring("team/a:v1"), await bring("team/b:v1")];
    const follower = await follow();
    const collected = place.client("admin").collect({ maxBytes: 3_500_000 });
    await expect.poll(follower.leaving, eventually).toHaveLength(1);
    expect(follower.leaving()[0]).toContain(trees[0]?.digest);
    expect(trees.map(({ tree }) => existsSync(tree))).toEqual([true, true]);
    const late = await bring("team/c:v1");
    const digests = trees.map(({ digest }) => digest);
    await place.client("locality").withdraw({ digests });
    expect((await collected).removed).toHaveLength(1);
    expect([...trees, late].map(({ tree }) => existsSync(tree))).toEqual([false, true, true]);
  });

  test("of the watermarks waits, too", async () => {
    const { digest, tree } = await bring("team/a:v1");
    await place.restart({ store: { ...defaultConfig().store, highBytes: 4_000_000 } });
    const follower = await follow({ withdraws: true });
    await bring("team/b:v1");
    await expect.poll(() => existsSync(tree), { timeout: 15_000 }).toBe(false);
    await expect
      .poll(() => follower.status()?.models.map((each) => each.digest), eventually)
      .not.toContain(digest);
  });

  test("that is only planned announces nothing", async () => {
    await bring("team/a:v1");
    const follower = await follow();
    const tookMs = await time(place.client("admin").collect({ maxBytes: 0, dryRun: true }));
    expect(tookMs).toBeLessThan(2000);
    expect(follower.leaving()).toEqual([]);
  });
});

describe("PUT /v1/withdrawals", () => {
  const put = async (kind: "mount" | "locality", body: unknown): Promise<number> => {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const sent = request({
      socketPath: socketPath(place.run, kind),
      method: "PUT",
      path: "/v1/withdrawals",
      agent: false,
    });
    sent.once("response", (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    });
    sent.once("error", reject);
    sent.end(JSON.stringify(body));
    return promise;
  };

  test.each([
    ["a digest of nothing that leaves", { digests: [digestOf("nothing")] }, 204],
    ["no digests", { digests: [] }, 204],
    ["what is no digest", { digests: ["latest"] }, 400],
    ["a field that is not known", { digests: [], more: 1 }, 400],
    ["nothing", {}, 400],
  ])("with %s: %j answers %d", async (_, body, status) => {
    expect(await put("locality", body)).toBe(status);
  });

  test("is not for those who mount", async () => {
    expect(await put("mount", { digests: [] })).toBe(403);
  });
});
