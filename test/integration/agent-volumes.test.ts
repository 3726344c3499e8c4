import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { ModelProgress } from "../../src/agent/api/documents.ts";
import { defaultConfig } from "../../src/agent/config.ts";
import { collectGarbage, removeModel } from "../../src/model/stored-models.ts";
import { type AgentPlace, openAgentPlace, podOf } from "../support/agent-place.ts";
import { blobBytes, holdBlobs } from "../support/held-blobs.ts";
import { readTree, seededBytes } from "../support/workplace.ts";

let place: AgentPlace;

beforeEach(async () => {
  place = await openAgentPlace();
});
afterEach(() => place[Symbol.asyncDispose]());

/** The code a call fails with. */
async function codeOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => "it did not fail",
    (error: unknown) => Reflect.get(Object(error), "code") as unknown,
  );
}

describe("a volume", () => {
  test("gets the tree of its model, read-only, and a lease until it is released", async () => {
    const digest = await place.push("team/model:v1");
    const mount = place.client("mount");
    const request = place.volume("team/model:v1", "/pods/a/mount");
    const ready = await mount.acquire(request);
    expect(ready.digest).toBe(digest);
    expect(await readTree(ready.tree)).toMatchObject({ "config.json": expect.any(String) });
    expect(
      (await readFile(join(ready.tree, "weights.bin"))).equals(
        seededBytes("team/model:v1", 3_000_000),
      ),
    ).toBe(true);
    expect((await stat(ready.tree)).mode & 0o777).toBe(0o555);
    expect((await stat(join(ready.tree, "weights.bin"))).mode & 0o777).toBe(0o444);
    expect(await mount.leases()).toMatchObject([
      { id: request.id, target: "/pods/a/mount", digest },
    ]);
    await mount.release(request.id);
    expect(await mount.leases()).toEqual([]);
    await mount.release(request.id);
  });

  test("of a model that is here costs one question to the registry and no byte", async () => {
    await place.push("team/model:v1");
    const mount = place.client("mount");
    await mount.acquire(place.volume("team/model:v1", "/a"));
    place.proxy.exchanges.length = 0;
    const ready = await mount.acquire(place.volume("team/model:v1", "/b"));
    expect(ready.moved).toBe(0);
    const asked = place.proxy.exchanges.filter(({ url }) => url !== "/v2/");
    expect(asked.map(({ method, url }) => `${method} ${url}`)).toEqual([
      "HEAD /v2/team/model/manifests/v1",
    ]);
  });

  test("is one of a hundred that ask at once for one download", async () => {
    await place.push("team/model:v1");
    const mount = place.client("mount");
    const ready = await Promise.all(
      Array.from({ length: 100 }, (_, at) =>
        mount.acquire(place.volume("team/model:v1", `/pods/${at}`)),
      ),
    );
    expect(new Set(ready.map(({ tree }) => tree)).size).toBe(1);
    expect(blobBytes(place.proxy)).toBeLessThan(3_100_000);
    expect(await mount.leases()).toHaveLength(100);
  });

  test("hears how far its model is", async () => {
    await place.push("team/model:v1");
    const { asked, release } = holdBlobs(place.proxy);
    const told: ModelProgress[] = [];
    const enough = Promise.withResolvers<void>();
    const acquired = place.client("mount").acquire(place.volume("team/model:v1", "/a"), {
      onProgress: (progress) => {
        told.push(progress);
        if (told.length === 2) enough.resolve();
      },
    });
    await asked;
    await enough.promise;
    release();
    await acquired;
    expect(told[0]?.name).toMatch(/\/team\/model@sha256:/);
    expect(told[0]?.hereBytes).toBeLessThanOrEqual(told[0]?.totalBytes ?? 0);
  });

  test("that nobody waits for any more goes on, and is there at the next call", async () => {
    await place.push("team/model:v1");
    const { asked, release } = holdBlobs(place.proxy);
    const mount = place.client("mount");
    const request = place.volume("team/model:v1", "/a");
    const leaving = new AbortController();
    const first = mount.acquire(request, { signal: leaving.signal });
    await asked;
    leaving.abort();
    await expect(first).rejects.toThrow("aborted");
    release();
    const again = await mount.acquire(request);
    expect(again.bytes).toBe(3_000_002);
    expect(blobBytes(place.proxy)).toBeLessThan(3_100_000);
  });

  test("that is released while it is pulled ends the pull, and leaves no lease", async () => {
    await place.push("team/model:v1");
    const { asked, release } = holdBlobs(place.proxy);
    const mount = place.client("mount");
    const request = place.volume("team/model:v1", "/a");
    const first = codeOf(mount.acquire(request));
    await asked;
    await mount.release(request.id);
    expect(await first).toBe("CANCELLED");
    release();
    expect(await mount.leases()).toEqual([]);
    for await (const { models } of place.client("admin").watch())
      if (models.every(({ state }) => state !== "pulling")) break;
  });

  test("keeps its digest when the tag moves, also after a restart", async () => {
    const first = await place.push("team/model:v1");
    const mount = place.client("mount");
    const request = place.volume("team/model:v1", "/a");
    await mount.acquire(request);
    const second = await place.push("team/model:v1", 2_000_000);
    expect(second).not.toBe(first);
    expect((await mount.acquire(request)).digest).toBe(first);
    await place.restart();
    expect((await mount.acquire(request)).digest).toBe(first);
    expect((await mount.acquire(place.volume("team/model:v1", "/b"))).digest).toBe(second);
  });

  test("cannot stand for another model, or for other files of it", async () => {
    await place.push("team/model:v1");
    await place.push("team/other:v1");
    const mount = place.client("mount");
    await mount.acquire(place.volume("team/model:v1", "/a"));
    const exists = { code: "LEASE_EXISTS" };
    await expect(mount.acquire(place.volume("team/other:v1", "/a"))).rejects.toMatchObject(exists);
    const some = place.volume("team/model:v1", "/a", { include: ["*.json"] });
    await expect(mount.acquire(some)).rejects.toMatchObject(exists);
  });

  test("shows the files that globs choose", async () => {
    await place.push("team/model:v1");
    const some = place.volume("team/model:v1", "/a", { include: ["*.json"] });
    const ready = await place.client("mount").acquire(some);
    expect(await readdir(ready.tree)).toEqual(["config.json"]);
    expect(blobBytes(place.proxy)).toBeLessThan(10_000);
  });

  test("goes on after the agent was restarted in the middle of its pull", async () => {
    await place.push("team/model:v1");
    const { asked, release } = holdBlobs(place.proxy);
    const request = place.volume("team/model:v1", "/a");
    const first = codeOf(place.client("mount").acquire(request));
    await asked;
    const restarted = place.restart();
    release();
    await restarted;
    expect(await first).toBe("AGENT_UNAVAILABLE");
    // Nobody asks, and yet it comes.
    const admin = place.client("admin");
    for await (const { models } of admin.watch()) if (models[0]?.state === "ready") break;
    const ready = await place.client("mount").acquire(request);
    expect(ready.moved).toBe(0);
  });
});

describe("a volume that is to be warm", () => {
  test("is ready at once, and read into the page cache after that", async () => {
    await place.push("team/model:v1");
    const request = place.volume("team/model:v1", "/a", { warm: true });
    const { tree } = await place.client("mount").acquire(request);
    const warmed = () => place.log.find(({ event }) => event === "warmed");
    await expect.poll(warmed).toMatchObject({ tree, bytes: 3_000_002, stoppedEarly: false });
  });
});

describe("a model that a volume shows", () => {
  test("is neither evicted nor removed, whatever is asked and while no agent runs", async () => {
    await place.push("team/model:v1");
    const mount = place.client("mount");
    const request = place.volume("team/model:v1", "/a");
    const { tree, digest } = await mount.acquire(request);
    await place.stop();
    const store = place.root;
    expect(await collectGarbage({ store, maxBytes: 0 })).toMatchObject({ removed: [] });
    await expect(removeModel({ store, model: digest })).rejects.toMatchObject({
      code: "MODEL_IN_USE",
    });
    expect(await readdir(tree)).toHaveLength(2);
    await place.restart();
    await mount.release(request.id);
    await place.stop();
    expect((await collectGarbage({ store, maxBytes: 0 })).removed).toHaveLength(1);
  });

  test("is told with who mounts it", async () => {
    await place.push("team/model:v1");
    const request = place.volume("team/model:v1", "/a", { subject: podOf("team-a") });
    await place.client("mount").acquire(request);
    const { models, store } = await place.client("admin").status();
    expect(models).toMatchObject([
      {
        state: "ready",
        tags: ["v1"],
        bytes: 3_000_002,
        mounts: [{ target: "/a", namespace: "team-a", pod: "server-0" }],
      },
    ]);
    expect(store.bytes).toBe(3_000_002);
  });
});

describe("above its watermark", () => {
  test("an agent evicts what was used least recently and nobody mounts", async () => {
    const limits = { highBytes: 5_000_000, lowBytes: 4_000_000 };
    await place.restart({
      store: { ...defaultConfig().store, lowFreePercent: 0, highFreePercent: 0, ...limits },
    });
    const mount = place.client("mount");
    for (const name of ["team/one:v1", "team/two:v1"]) {
      await place.push(name);
      await mount.acquire(place.volume(name, `/${name}`));
    }
    const { models } = await place.client("admin").status();
    expect(models.map(({ state }) => state)).toEqual(["ready", "ready"]);
    await mount.release(place.volume("team/one:v1", "/team/one:v1").id);
    await place.push("team/three:v1");
    await mount.acquire(place.volume("team/three:v1", "/three"));
    const admin = place.client("admin");
    const names: string[] = [];
    for await (const status of admin.watch()) {
      names.splice(0, names.length, ...status.models.map(({ name }) => name));
      if (names.length === 2) break;
    }
    expect(names.join(" ")).not.toContain("team/one");
  });
});
