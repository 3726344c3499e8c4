import { describe, expect, test } from "vitest";
import type { ReadyModel } from "../../src/agent/api/documents.ts";
import type { Bring } from "../../src/agent/deliveries/bring.ts";
import { createDeliveries } from "../../src/agent/deliveries/deliveries.ts";
import type { Want } from "../../src/agent/deliveries/delivery.ts";
import { digestOf } from "../../src/core/digest.ts";
import { ModelError } from "../../src/core/errors.ts";
import { parseReference } from "../../src/core/reference.ts";

const digest = digestOf("model");
const reference = parseReference("registry.example.com/team/model:v1");
const model = { reference, digest, name: `registry.example.com/team/model@${digest}` };
const ready: ReadyModel = {
  name: model.name,
  digest,
  treeId: "t",
  selection: "all",
  tree: "/tree",
  bytes: 1,
  files: 1,
  moved: 1,
};

const want = (id: string, priority: Want["priority"] = "mount"): Want => ({
  id,
  priority,
  connection: { credentials: { token: id } },
});

type Call = Parameters<Bring>[1] & PromiseWithResolvers<ReadyModel>;

/** Deliveries whose work the test does; each call of it waits to be settled, or ends when aborted. */
function open() {
  const calls: Call[] = [];
  const bring: Bring = (_, options) => {
    const settled = Promise.withResolvers<ReadyModel>();
    options.signal?.addEventListener("abort", () => settled.reject(options.signal?.reason));
    calls.push({ ...options, ...settled });
    return settled.promise;
  };
  return { calls, deliveries: createDeliveries(bring, () => undefined) };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const tokenOf = (call: Call | undefined) => call?.connection.credentials;

describe("a delivery", () => {
  test("is one for all who want the same, and another for other files of it", async () => {
    const { calls, deliveries } = open();
    const all = ["a", "b", "c"].map((id) => deliveries.want(model, want(id)).done);
    deliveries.want({ ...model, include: ["*.json"] }, want("d"));
    await turn();
    expect(calls).toHaveLength(2);
    expect(deliveries.active()).toHaveLength(2);
    calls[0]?.resolve(ready);
    expect(await Promise.all(all)).toEqual([ready, ready, ready]);
  });

  test("goes on with another's credential when one is refused, which only that one hears", async () => {
    const { calls, deliveries } = open();
    const [first, second] = [want("a"), want("b")].map((each) => deliveries.want(model, each).done);
    await turn();
    expect(tokenOf(calls[0])).toEqual({ token: "a" });
    calls[0]?.reject(new ModelError("UNAUTHORIZED", "not you"));
    await expect(first).rejects.toMatchObject({ code: "UNAUTHORIZED" });
    await turn();
    expect(tokenOf(calls[1])).toEqual({ token: "b" });
    calls[1]?.resolve(ready);
    expect(await second).toEqual(ready);
  });

  test("fails for all when it fails by anything else, and the next begins anew", async () => {
    const { calls, deliveries } = open();
    const all = ["a", "b"].map((id) => deliveries.want(model, want(id)).done);
    await turn();
    calls[0]?.reject(new ModelError("REGISTRY_UNAVAILABLE", "down"));
    for (const each of all) await expect(each).rejects.toMatchObject({ message: "down" });
    expect(deliveries.failures.get(model.name)).toMatchObject({ code: "REGISTRY_UNAVAILABLE" });
    const again = deliveries.want(model, want("a")).done;
    await turn();
    calls[1]?.resolve(ready);
    expect(await again).toEqual(ready);
    expect(deliveries.failures.size).toBe(0);
  });

  test("is as urgent as the most urgent of those who want it", async () => {
    const { calls, deliveries } = open();
    deliveries.want(model, want("a", "prefetch"));
    await turn();
    expect(calls[0]?.priority()).toBe("prefetch");
    deliveries.want(model, want("b", "mount"));
    expect(calls[0]?.priority()).toBe("mount");
    deliveries.drop("b");
    expect(calls[0]?.priority()).toBe("prefetch");
  });

  test("ends when the last takes its want back, and who comes then has another", async () => {
    const { calls, deliveries } = open();
    const [first, second] = ["a", "b"].map((id) => deliveries.want(model, want(id)).done);
    await turn();
    deliveries.drop("a");
    await expect(first).rejects.toMatchObject({ code: "CANCELLED" });
    expect(calls[0]?.signal?.aborted).toBe(false);
    deliveries.drop("b");
    await expect(second).rejects.toMatchObject({ code: "CANCELLED" });
    expect(calls[0]?.signal?.aborted).toBe(true);
    const third = deliveries.want(model, want("c")).done;
    await turn();
    calls[1]?.resolve(ready);
    expect(await third).toEqual(ready);
    expect(deliveries.failures.size).toBe(0);
  });

  test("tells the same one who asks twice under one name the same", async () => {
    const { calls, deliveries } = open();
    const once = deliveries.want(model, want("a")).done;
    expect(deliveries.want(model, want("a")).done).toBe(once);
    await turn();
    calls[0]?.resolve(ready);
    expect(await once).toEqual(ready);
  });

  test("is ended with all others when they are disposed", async () => {
    const { deliveries } = open();
    const waiting = deliveries.want(model, want("a")).done;
    await turn();
    await deliveries[Symbol.asyncDispose]();
    await expect(waiting).rejects.toMatchObject({ code: "CANCELLED" });
    expect(deliveries.active()).toEqual([]);
  });
});
