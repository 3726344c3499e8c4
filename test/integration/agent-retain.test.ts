import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { MountedVolume } from "../../src/agent/api/documents.ts";
import { defaultConfig } from "../../src/agent/config.ts";
import { parseDigest } from "../../src/core/digest.ts";
import { type AgentPlace, login, openAgentPlace, podOf } from "../support/agent-place.ts";

let place: AgentPlace;
/** What shows the model that is here. */
let mounted: MountedVolume;

beforeEach(async () => {
  place = await openAgentPlace({ withLogin: true });
  const digest = parseDigest(await place.push("team/model:v1"));
  const { id, reference, target, subject } = place.volume("team/model:v1", "/a");
  mounted = { id, reference, digest, target, subject };
});
afterEach(() => place[Symbol.asyncDispose]());

const mount = () => place.client("mount");
const acquire = (more: { readonly include?: string[] } = {}) =>
  mount().acquire(place.volume("team/model:v1", "/a", { credential: login, ...more }));
const evictAll = async () => (await place.client("admin").collect({ maxBytes: 0 })).removed;
const lastDecision = () => place.log.findLast(({ event }) => event === "access");

describe("a mounted volume that has lost its lease", () => {
  test("is leased again without a credential or a question, and kept from eviction", async () => {
    await acquire();
    const [lease] = await mount().leases();
    await mount().release(mounted.id);
    place.proxy.exchanges.length = 0;
    for (const _ of [1, 2]) await mount().retain(mounted);
    expect(await mount().leases()).toEqual([{ ...lease, since: expect.any(String) }]);
    expect(place.proxy.exchanges).toEqual([]);
    expect(lastDecision()).toMatchObject({
      namespace: "default",
      repository: `${place.proxy.address}/team/model`,
      version: mounted.digest,
      digest: mounted.digest,
      verdict: "allowed",
      why: "mounted",
    });
    expect(await evictAll()).toEqual([]);
    await place.restart();
    expect(await evictAll()).toEqual([]);
    await mount().release(mounted.id);
    expect(await evictAll()).toHaveLength(1);
  });

  test("is leased again though its registry is away and not allowed any more", async () => {
    await acquire();
    await mount().release(mounted.id);
    place.cut(true);
    await place.restart({ registries: { ...defaultConfig().registries, allow: [] } });
    await mount().retain(mounted);
    expect(await mount().leases()).toHaveLength(1);
  });

  test("lets nobody read: who asks for the model under that lease is asked for a credential", async () => {
    await acquire();
    await mount().release(mounted.id);
    await mount().retain(mounted);
    const stranger = place.volume("team/model:v1", "/a", { subject: podOf("other") });
    await expect(mount().acquire(stranger)).rejects.toMatchObject({ code: "UNAUTHORIZED" });
    expect(await mount().leases()).toHaveLength(1);
  });

  test("is not leased where nothing of its model is here", async () => {
    await expect(mount().retain(mounted)).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await mount().leases()).toEqual([]);
    expect(lastDecision()).toMatchObject({ verdict: "unknown", why: "NOT_FOUND" });
    expect(lastDecision()).not.toHaveProperty("digest");
  });

  test.each([
    ["only some of its files are here", () => ({})],
    ["other files of it are here", () => ({ include: ["weights.bin"] })],
    [
      "another repository brought it",
      () => ({ include: ["*.json"], reference: place.ref("team/other:v1") }),
    ],
  ])("is not leased where %s", async (_, changes) => {
    await acquire({ include: ["*.json"] });
    await mount().release(mounted.id);
    const refused = mount().retain({ ...mounted, ...changes() });
    await expect(refused).rejects.toMatchObject({ code: "NOT_FOUND" });
    expect(await mount().leases()).toEqual([]);
    await mount().retain({ ...mounted, include: ["*.json"] });
  });

  test("is not leased in the place of another volume", async () => {
    const other = parseDigest(await place.push("team/model:v2", 2_000_000));
    await acquire();
    const exists = { code: "LEASE_EXISTS" };
    for (const changes of [
      { reference: place.ref("team/other:v1") },
      { include: ["*.json"] },
      { digest: other },
    ])
      await expect(mount().retain({ ...mounted, ...changes })).rejects.toMatchObject(exists);
    expect(await mount().leases()).toMatchObject([{ digest: mounted.digest }]);
  });

  test("is leased for those only who mount", async () => {
    const refused = place.client("locality").retain(mounted);
    await expect(refused).rejects.toMatchObject({ code: "FORBIDDEN" });
  });
});
