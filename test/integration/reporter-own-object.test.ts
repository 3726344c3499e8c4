import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type ClusterApi, createClusterApi } from "../../src/kubernetes/api/cluster-api.ts";
import type { ApiObject } from "../../src/kubernetes/api/objects.ts";
import { followOwn, type OwnObject } from "../../src/kubernetes/reporter/own-object.ts";
import { type FakeApiServer, startFakeApiServer } from "../support/fake-api-server.ts";

const path = "/api/v1/nodes";
const eventually = { timeout: 10_000, interval: 10 };

describe("an object that is followed and written to", () => {
  let server: FakeApiServer;
  let api: ClusterApi;
  let own: OwnObject<ApiObject>;

  beforeEach(async () => {
    server = await startFakeApiServer();
    api = createClusterApi({ kubeconfig: server.kubeconfig, userAgent: "test" });
    server.objects.create(path, { metadata: { name: "a", labels: { count: "0" } } });
    server.objects.create(path, { metadata: { name: "b", labels: { count: "0" } } });
    const known = Promise.withResolvers<void>();
    const onChange = () => {
      // The object is heard of before the first look is over.
      if (own.isKnown) known.resolve();
    };
    const followed = { collection: { path }, name: "a", onChange };
    own = followOwn(api, { ...followed, log: () => undefined });
    await known.promise;
  });
  afterEach(async () => {
    await own[Symbol.asyncDispose]();
    api[Symbol.dispose]();
    await server[Symbol.asyncDispose]();
  });

  const count = () => own.object?.metadata.labels?.["count"];
  const write = (value: string): ApiObject => {
    const content = { metadata: { name: "a", labels: { count: value } } };
    return server.objects.update(path, "a", content, "main");
  };

  test("is the one of that name", () => {
    expect(own.object?.metadata.name).toBe("a");
  });

  test("is as the answer to a write says, before the watch does", () => {
    own.accept({ ...write("1") });
    expect(count()).toBe("1");
  });

  test("is not set back by an answer that the watch overtook", async () => {
    const answer = write("1");
    write("2");
    await expect.poll(count, eventually).toBe("2");
    own.accept(answer);
    expect(count()).toBe("2");
  });

  test("is not set back by a watch that the answer overtook", async () => {
    const seen: unknown[] = [];
    write("1");
    own.accept(write("2"));
    const after = write("3");
    while (own.object?.metadata.resourceVersion !== after.metadata.resourceVersion) {
      seen.push(count());
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(new Set(seen)).toEqual(new Set(["2"]));
  });

  test("is gone when it is, and another when it was made anew", async () => {
    server.objects.remove(path, "a");
    await expect.poll(() => own.object, eventually).toBeUndefined();
    server.objects.create(path, { metadata: { name: "a", labels: { count: "9" } } });
    await expect.poll(count, eventually).toBe("9");
  });
});
