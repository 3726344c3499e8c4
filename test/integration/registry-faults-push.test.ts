import { beforeEach, describe, expect, test } from "vitest";
import {
  chunkBytes,
  chunkCount,
  type FaultScene,
  pick,
  serverTrouble,
  stageFaults,
  storm,
  trouble,
} from "../support/fault-scene.ts";
import type { FaultRegistry } from "../support/registry-faults.ts";

let scene: FaultScene;
let registry: FaultRegistry;
const stage = stageFaults((opened) => {
  scene = opened;
  ({ registry } = opened);
});

/** Everything is there that a push without trouble puts there. */
function expectWhole(): void {
  const model = stage.model();
  expect([...registry.blobs.keys()].sort()).toEqual([...model.blobs.keys()].sort());
  expect([...registry.manifests.keys()].sort()).toEqual([...model.manifests.keys()].sort());
}

/** Tag, tags and three blobs (asked for, opened, put), and the manifest. */
const leastRequests = 14;

describe("a push to a registry", () => {
  test.each([0, 65_536, 1_000_000, chunkCount * chunkBytes - 1])(
    "that breaks off after %d bytes of a layer gets it again",
    async (bytes) => {
      registry.uploadResets.push(bytes);
      await scene.push();
      expectWhole();
      expect(registry.seen.length).toBeLessThanOrEqual(leastRequests + 2);
    },
  );

  test.each([
    ["429", 429, "0"],
    ["503 until a date", 503, "Thu, 01 Jan 2026 00:00:00 GMT"],
  ])("that answers everything with %s once has it all in the end", async (_, status, until) => {
    const refused = storm(
      registry,
      () => 1,
      () => trouble(status, until),
    );
    await scene.push();
    expectWhole();
    expect(refused.answered).toBeGreaterThanOrEqual(7);
    expect(registry.seen.length).toBeLessThanOrEqual(leastRequests + 3 * refused.answered);
  });

  test("in a storm of 5xx has it all in the end", async () => {
    const refused = storm(registry, (line) => pick(line, 4), serverTrouble);
    await scene.push();
    expectWhole();
    expect(refused.answered).toBeGreaterThanOrEqual(10);
    expect(registry.seen.length).toBeLessThanOrEqual(leastRequests + 3 * refused.answered);
  });

  test.each([
    [/^HEAD/, 429, "RATE_LIMITED"],
    [/^POST/, 500, "REGISTRY_UNAVAILABLE"],
    [/^PUT .*uploads/, 503, "REGISTRY_UNAVAILABLE"],
    [/^PUT .*manifests/, 502, "REGISTRY_UNAVAILABLE"],
  ])("that answers %s with %d for ever ends as %s, and goes on later", async (on, status, code) => {
    storm(
      registry,
      (line) => (on.test(line) ? 1000 : 0),
      () => trouble(status),
    );
    await expect(scene.push()).rejects.toMatchObject({
      code,
      retryable: true,
      message: expect.stringContaining(registry.host) as string,
    });
    expect(registry.manifests.size).toBe(0);
    expect(registry.seen.length).toBeLessThanOrEqual(2 * leastRequests);
    registry.intercept = undefined;
    await scene.push();
    expectWhole();
  });

  test("that says it stored another manifest is DIGEST_MISMATCH", async () => {
    const headers = { "docker-content-digest": `sha256:${"0".repeat(64)}` };
    registry.answers.push({ on: /^PUT .*manifests/, status: 201, headers });
    await expect(scene.push()).rejects.toMatchObject({ code: "DIGEST_MISMATCH" });
  });
});

describe("a push with a token that stops working", () => {
  beforeEach(() => stage.reopen({ auth: "bearer" }));

  test("before every upload and before the manifest gets new ones", async () => {
    const refused = new Set<string>();
    registry.intercept = ({ method, url }) => {
      const [, kind = ""] = /\/(uploads|manifests)\//.exec(url) ?? [];
      if (method === "PUT" && !refused.has(kind)) registry.tokens.clear();
      if (method === "PUT") refused.add(kind);
      return undefined;
    };
    await scene.push();
    expectWhole();
    expect([...refused]).toEqual(["uploads", "manifests"]);
    expect(registry.lines(/token/).length).toBeLessThanOrEqual(6);
  });

  test("and gets no other is UNAUTHORIZED, and goes on later", async () => {
    registry.intercept = ({ method }) => {
      if (method !== "PUT") return undefined;
      registry.login = "somebody:else";
      registry.tokens.clear();
      return undefined;
    };
    await expect(scene.push()).rejects.toMatchObject({ code: "UNAUTHORIZED", retryable: false });
    expect(registry.manifests.size).toBe(0);
    registry.intercept = undefined;
    registry.login = undefined;
    await scene.push();
    expectWhole();
  });
});
