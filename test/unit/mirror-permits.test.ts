import { describe, expect, test } from "vitest";
import type { Decision } from "../../src/agent/access/audit.ts";
import { createPermits } from "../../src/agent/mirror/permits.ts";
import type { Upstream } from "../../src/agent/mirror/upstream.ts";
import { type Digest, digestOf } from "../../src/core/digest.ts";
import { ModelError } from "../../src/core/errors.ts";
import type { RegistryReference } from "../../src/core/reference.ts";

const digest = digestOf("manifest");
const reference: RegistryReference = {
  kind: "registry",
  host: "registry.example.com",
  repository: "team/model",
  tag: undefined,
  digest: undefined,
};
const byTag = { ...reference, tag: "v1" };
const byDigest = { ...reference, digest };
const alice = { authorization: "Bearer alice", address: "10.0.0.1" };
const bob = { authorization: "Bearer bob", address: "10.0.0.1" };
const nobody = { authorization: undefined, address: "10.0.0.1" };

/** A registry that lets in alice, and says so when it is told to. */
function open({ lifeMs = 60_000 } = {}) {
  const asked: string[] = [];
  const decisions: Decision[] = [];
  const stopping = new AbortController();
  let gate = Promise.resolve();
  const check = async (what: string, authorization: string | undefined) => {
    asked.push(what);
    await gate;
    if (authorization !== alice.authorization) throw new ModelError("UNAUTHORIZED", "no");
  };
  const upstream: Upstream = {
    resolve: async ({ tag, digest: wanted }, { caller }) => {
      await check(wanted ?? tag ?? "", caller.authorization);
      return wanted ?? digest;
    },
    hasBlob: async (_, blob: Digest, { caller }) => {
      await check(blob, caller.authorization);
      return true;
    },
    ping: async () => undefined,
  };
  const audit = (decision: Decision) => void decisions.push(decision);
  const permits = createPermits({ upstream, audit, lifeMs, signal: stopping.signal });
  return {
    asked,
    decisions,
    permits,
    hold: () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = promise;
      return resolve;
    },
  };
}

describe("a permit", () => {
  test("for a tag is asked for each time and counts for its digest", async () => {
    const { permits, asked } = open();
    expect(await permits.forManifest(byTag, { caller: alice })).toBe(digest);
    expect(await permits.forManifest(byDigest, { caller: alice })).toBe(digest);
    expect(await permits.forManifest(byTag, { caller: alice })).toBe(digest);
    expect(asked).toEqual(["v1", "v1"]);
  });

  test("counts for the very same header only, and no counts not at all", async () => {
    const { permits, asked, decisions } = open();
    await permits.forManifest(byDigest, { caller: alice });
    for (const caller of [bob, bob, nobody])
      await expect(permits.forManifest(byDigest, { caller })).rejects.toMatchObject({
        code: "UNAUTHORIZED",
      });
    expect(asked).toHaveLength(4);
    expect(decisions.map(({ verdict, why }) => `${verdict} ${why}`)).toEqual([
      "allowed registry",
      "denied UNAUTHORIZED",
      "denied UNAUTHORIZED",
      "denied UNAUTHORIZED",
    ]);
    expect(JSON.stringify(decisions)).not.toContain("Bearer");
  });

  test("counts for the very same repository only", async () => {
    const { permits, asked } = open();
    await permits.forManifest(byDigest, { caller: alice });
    await permits.forManifest({ ...byDigest, repository: "other/model" }, { caller: alice });
    await permits.forManifest({ ...byDigest, host: "other.example.com" }, { caller: alice });
    expect(asked).toHaveLength(3);
  });

  test("ends", async () => {
    const { permits, asked } = open({ lifeMs: 0 });
    await permits.forManifest(byDigest, { caller: alice });
    await permits.forManifest(byDigest, { caller: alice });
    await permits.forBlob(reference, digestOf("blob"), { caller: alice });
    await permits.forBlob(reference, digestOf("blob"), { caller: alice });
    expect(asked).toHaveLength(4);
  });

  test("is asked for once by many at once, and one who goes away ends it for nobody else", async () => {
    const { permits, asked, hold } = open();
    const release = hold();
    const leaving = new AbortController();
    const first = permits.forManifest(byDigest, { caller: alice, signal: leaving.signal });
    const others = [1, 2, 3].map(() => permits.forManifest(byDigest, { caller: alice }));
    leaving.abort(new ModelError("CANCELLED", "gone"));
    await expect(first).rejects.toMatchObject({ code: "CANCELLED" });
    release();
    expect(await Promise.all(others)).toEqual([digest, digest, digest]);
    expect(asked).toHaveLength(1);
  });
});
