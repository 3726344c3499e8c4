import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { defaultConfig } from "../../src/agent/config.ts";
import { createDeliveries, type Deliveries } from "../../src/agent/deliveries/deliveries.ts";
import { createPrefetches, type Prefetches } from "../../src/agent/prefetches.ts";
import { digestOf } from "../../src/core/digest.ts";
import { openReach } from "../../src/model/reach.ts";
import { openStore, type Store } from "../../src/store/store.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";

let folder: TemporaryFolder;
let store: Store;
let deliveries: Deliveries;
/** Names of models that somebody began to bring; none of them ever comes. */
let begun: string[];

beforeEach(async () => {
  folder = await makeTemporaryFolder();
  store = await openStore(folder.path);
  begun = [];
  deliveries = createDeliveries(
    ({ name }, { signal }) => {
      begun.push(name);
      const { promise, reject } = Promise.withResolvers<never>();
      signal?.addEventListener("abort", () => reject(signal.reason as Error));
      return promise;
    },
    () => undefined,
  );
});
afterEach(async () => {
  await deliveries[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** Prefetches that let everybody in, once `onAdmission` has happened. */
async function open(onAdmission: () => void): Promise<Prefetches> {
  const admit = async () => {
    onAdmission();
    return digestOf("manifest");
  };
  const reach = await openReach(defaultConfig(), {});
  const { signal } = new AbortController();
  return createPrefetches({ store, gate: { admit }, deliveries, reach, signal });
}

const request = { reference: "registry.example.com/team/model:v1" };

describe("a prefetch whose caller hangs up", () => {
  test("while it is let in begins nothing", async () => {
    const caller = new AbortController();
    const prefetches = await open(() => caller.abort(new Error("hung up")));
    const attended = prefetches.attend(request, { signal: caller.signal });
    await expect(attended).rejects.toThrow("hung up");
    await Promise.resolve();
    expect(deliveries.active()).toEqual([]);
    expect(begun).toEqual([]);
  });

  test("after that gives up what nobody else wants", async () => {
    const caller = new AbortController();
    const prefetches = await open(() => undefined);
    const { done } = await prefetches.attend(request, { signal: caller.signal });
    await expect.poll(() => begun).toHaveLength(1);
    caller.abort();
    await expect(done).rejects.toMatchObject({ code: "CANCELLED" });
    await expect.poll(() => deliveries.active()).toEqual([]);
  });
});
