import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { collectGarbage } from "../../src/model/stored-models.ts";
import { type AgentPlace, openAgentPlace } from "../support/agent-place.ts";
import { blobBytes, holdBlobs } from "../support/held-blobs.ts";

let place: AgentPlace;

beforeEach(async () => {
  place = await openAgentPlace();
});
afterEach(() => place[Symbol.asyncDispose]());

const reference = () => place.ref("team/model:v1");
async function untilModels(isSo: (states: string[]) => boolean): Promise<void> {
  for await (const { models } of place.client("admin").watch())
    if (isSo(models.map(({ state }) => state))) return;
}

describe("a prefetch", () => {
  test("brings a model before anybody mounts it, so that the mount fetches nothing", async () => {
    const digest = await place.push("team/model:v1");
    const ready = await place.client("locality").prefetch({ reference: reference() });
    expect(ready).toMatchObject({ digest, files: 2 });
    const mounted = await place.client("mount").acquire(place.volume("team/model:v1", "/a"));
    expect(mounted).toMatchObject({ moved: 0, tree: ready.tree });
  });

  test("is one download for any number of callers, and for a mount that joins", async () => {
    await place.push("team/model:v1");
    const { asked, release } = holdBlobs(place.proxy);
    const admin = place.client("admin");
    const prefetches = Array.from({ length: 20 }, () => admin.prefetch({ reference: reference() }));
    await asked;
    const mounted = place.client("mount").acquire(place.volume("team/model:v1", "/a"));
    release();
    await Promise.all([...prefetches, mounted]);
    expect(blobBytes(place.proxy)).toBeLessThan(3_100_000);
  });

  test("that nobody wants any more ends", async () => {
    await place.push("team/model:v1");
    const { asked, release } = holdBlobs(place.proxy);
    const leaving = new AbortController();
    const { signal } = leaving;
    const first = place.client("admin").prefetch({ reference: reference() }, { signal });
    await asked;
    leaving.abort();
    await expect(first).rejects.toThrow("aborted");
    await untilModels((states) => states.every((state) => state !== "pulling"));
    release();
  });

  test("that was begun goes on by itself, also by the next process, and leaves no lease", async () => {
    await place.push("team/model:v1");
    const { asked, release } = holdBlobs(place.proxy);
    const admin = place.client("admin");
    const lease = await admin.beginPrefetch({ reference: reference() });
    expect(await admin.beginPrefetch({ reference: reference() })).toEqual(lease);
    await asked;
    const restarted = place.restart();
    release();
    await restarted;
    await untilModels((states) => states[0] === "ready");
    await expect.poll(() => admin.leases()).toEqual([]);
  });

  test("pins what it brings when it is asked to", async () => {
    await place.push("team/model:v1");
    await place.client("admin").prefetch({ reference: reference(), pin: true });
    expect((await place.client("admin").status()).models).toMatchObject([{ pinned: true }]);
    await place.stop();
    expect((await collectGarbage({ store: place.root, maxBytes: 0 })).removed).toEqual([]);
  });

  test("of something that is not there says so, and is noted with the model", async () => {
    const prefetch = place.client("admin").prefetch({ reference: reference() });
    await expect(prefetch).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await place.client("admin").leases()).toEqual([]);
  });
});

describe("a pin", () => {
  test("is set and taken back by name or digest", async () => {
    const digest = await place.push("team/model:v1");
    const admin = place.client("admin");
    await admin.prefetch({ reference: reference() });
    await admin.pin({ model: digest, pinned: true });
    await admin.pin({ model: digest, pinned: true });
    expect((await admin.status()).models).toMatchObject([{ pinned: true }]);
    await admin.pin({ model: reference(), pinned: false });
    expect((await admin.status()).models).toMatchObject([{ pinned: false }]);
  });
});
