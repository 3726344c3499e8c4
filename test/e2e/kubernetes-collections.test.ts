import { describe, expect, test } from "vitest";
import { type ClusterApi, createClusterApi } from "../../src/kubernetes/api/cluster-api.ts";
import { type Followed, followObjects } from "../../src/kubernetes/api/collection.ts";
import { listAll } from "../../src/kubernetes/api/list.ts";
import type { ApiObject } from "../../src/kubernetes/api/objects.ts";
import { sayJson, startApiScript } from "../support/api-script.ts";
import { type FakeApiServer, startFakeApiServer } from "../support/fake-api-server.ts";

const nodes = "/api/v1/nodes";

interface Scene extends AsyncDisposable {
  readonly server: FakeApiServer;
  readonly api: ClusterApi;
  readonly followed: Followed<ApiObject>;
  readonly changes: string[];
  readonly outages: unknown[];
}

/** A server with the nodes a and b, and one who follows them. */
async function openScene(): Promise<Scene> {
  await using opened = new AsyncDisposableStack();
  const server = opened.use(await startFakeApiServer());
  for (const name of ["a", "b"]) server.objects.create(nodes, { metadata: { name } });
  const api = opened.use(
    createClusterApi({ kubeconfig: server.kubeconfig, userAgent: "ballast-test" }),
  );
  const changes: string[] = [];
  const outages: unknown[] = [];
  const followed = opened.use(
    followObjects<ApiObject>(
      api,
      { path: nodes },
      {
        onChange: (key, object) =>
          changes.push(
            object === undefined
              ? `${key} went`
              : `${key} ${object.metadata.labels?.["v"] ?? "new"}`,
          ),
        onOutage: (error) => outages.push(error),
      },
    ),
  );
  await followed.synced;
  await expect.poll(() => watches(server)).toBe(1);
  const owned = opened.move();
  return {
    server,
    api,
    followed,
    changes,
    outages,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const count = (server: FakeApiServer, method: string) =>
  server.requests.filter((each) => each.method === method && each.path === nodes).length;
const watches = (server: FakeApiServer) => count(server, "WATCH");
const lists = (server: FakeApiServer) => count(server, "GET");
const change = (server: FakeApiServer, name: string, v: string) =>
  server.objects.update(nodes, name, { metadata: { name, labels: { v } } }, "main");

describe("a list", () => {
  test("is all of it, page by page", async () => {
    await using server = await startFakeApiServer();
    for (let n = 0; n < 1201; n++) server.objects.create(nodes, { metadata: { name: `n${n}` } });
    using api = createClusterApi({ kubeconfig: server.kubeconfig, userAgent: "ballast-test" });
    const { items, resourceVersion } = await listAll(api, { path: nodes });
    expect(new Set(items.map(({ metadata }) => metadata.name)).size).toBe(1201);
    expect(resourceVersion).toBe(String(server.objects.version));
    expect(lists(server)).toBe(3);
  });

  test("begins anew where its pages were forgotten in the middle", async () => {
    await using script = await startApiScript((request, response, each) => {
      const from = new URL(request.url ?? "", "http://api").searchParams.get("continue");
      const item = (name: string) => ({ metadata: { name } });
      if (from === null)
        return sayJson(response, 200, {
          metadata: { continue: "next" },
          items: [item(`first${each}`)],
        });
      if (each === 2) return sayJson(response, 410, { reason: "Expired", message: "too old" });
      sayJson(response, 200, { metadata: { resourceVersion: "9" }, items: [item("last")] });
    });
    const { items, resourceVersion } = await listAll(script.api, { path: nodes });
    expect(items.map(({ metadata }) => metadata.name)).toEqual(["first3", "last"]);
    expect(resourceVersion).toBe("9");
  });
});

describe("who follows a collection", () => {
  test("has what is there, then sees what comes, changes and goes", async () => {
    await using scene = await openScene();
    const { server, followed, changes, outages } = scene;
    expect([...followed.objects.keys()]).toEqual(["a", "b"]);
    server.objects.create(nodes, { metadata: { name: "c" } });
    change(server, "a", "2");
    server.objects.remove(nodes, "b");
    await expect.poll(() => changes).toEqual(["a new", "b new", "c new", "a 2", "b went"]);
    expect([...followed.objects.keys()]).toEqual(["a", "c"]);
    expect([lists(server), watches(server), outages]).toEqual([1, 1, []]);
  });

  test("goes on after a connection that was cut, without a list, and is told of one outage", async () => {
    await using scene = await openScene();
    const { server, changes, outages } = scene;
    server.dropWatches();
    change(server, "a", "2");
    await expect.poll(() => changes, { timeout: 5000 }).toContain("a 2");
    expect(lists(server)).toBe(1);
    expect(outages).toEqual([expect.objectContaining({ code: "CLUSTER_UNAVAILABLE" }), undefined]);
  });

  test("finds what it missed while the server was away and forgot its history", async () => {
    await using scene = await openScene();
    const { server, followed, changes, outages } = scene;
    await server.stop();
    change(server, "a", "2");
    server.objects.remove(nodes, "b");
    server.objects.create(nodes, { metadata: { name: "c" } });
    server.compact();
    await expect.poll(() => outages.length).toBe(1);
    await server.resume();
    await expect.poll(() => outages.length, { timeout: 20_000 }).toBe(2);
    expect(changes.slice(2).sort()).toEqual(["a 2", "b went", "c new"]);
    expect([...followed.objects.keys()].sort()).toEqual(["a", "c"]);
    expect(lists(server)).toBe(2);
    expect(outages[1]).toBeUndefined();
  });

  test("lists anew at once where the server no longer knows its version, and calls that no outage", async () => {
    await using scene = await openScene();
    const { server, changes, outages } = scene;
    using _ = server.fail({ match: /^WATCH/, status: 410, reason: "Expired", times: 1 });
    server.dropWatches();
    change(server, "a", "2");
    await expect.poll(() => changes, { timeout: 5000 }).toContain("a 2");
    expect(lists(server)).toBe(2);
    await expect.poll(() => outages.length).toBe(2);
  });

  test("does not ask without end where the server forgets at once", async () => {
    await using scene = await openScene();
    const { server } = scene;
    using _ = server.fail({ match: /^WATCH/, status: 410, reason: "Expired" });
    server.dropWatches();
    await new Promise((resolve) => setTimeout(resolve, 2500));
    expect(watches(server)).toBeGreaterThan(1);
    expect(watches(server)).toBeLessThan(8);
  });

  test("goes on with another token where its own ran out during a watch", async () => {
    await using scene = await openScene();
    const { server, changes } = scene;
    await server.rotateToken();
    server.dropWatches();
    change(server, "a", "2");
    await expect.poll(() => changes, { timeout: 5000 }).toContain("a 2");
  });

  test("is in an outage while it has no right, and not for ever", async () => {
    await using server = await startFakeApiServer();
    using api = createClusterApi({ kubeconfig: server.kubeconfig, userAgent: "ballast-test" });
    const fault = server.fail({ match: /nodes/, status: 403, reason: "Forbidden" });
    const outages: unknown[] = [];
    await using followed = followObjects(
      api,
      { path: nodes },
      { onOutage: (error) => outages.push(error) },
    );
    await expect.poll(() => outages).toEqual([expect.objectContaining({ code: "FORBIDDEN" })]);
    fault[Symbol.dispose]();
    await followed.synced;
    expect(outages).toHaveLength(2);
  });

  test("that ends closes its watch, and who waits for it hears so", async () => {
    const scene = await openScene();
    const fault = scene.server.fail({ match: /secrets/, status: 403 });
    const never = followObjects(scene.api, { path: "/api/v1/secrets" });
    await never[Symbol.asyncDispose]();
    await expect(never.synced).rejects.toThrow("aborted");
    fault[Symbol.dispose]();
    await scene[Symbol.asyncDispose]();
  });

  test("resumes from a bookmark: nothing is shown twice after a long silence", async () => {
    const asked: string[] = [];
    const event = (type: string, name: string | undefined, resourceVersion: string) =>
      `${JSON.stringify({ type, object: { metadata: { name, resourceVersion } } })}\n`;
    await using script = await startApiScript((request, response) => {
      const { searchParams } = new URL(request.url ?? "", "http://api");
      if (searchParams.get("watch") !== "true")
        return sayJson(response, 200, { metadata: { resourceVersion: "5" }, items: [] });
      asked.push(searchParams.get("resourceVersion") ?? "");
      if (asked.length === 1) response.write(event("ADDED", "a", "6"));
      response.write(event("BOOKMARK", undefined, `${asked.length}00`));
      if (asked.length < 3) response.end('{"type":"ADDED","object":{"metad');
    });
    const changes: string[] = [];
    await using _ = followObjects(
      script.api,
      { path: nodes },
      { onChange: (key) => changes.push(key) },
    );
    await expect.poll(() => asked, { timeout: 10_000 }).toEqual(["5", "100", "200"]);
    expect(changes).toEqual(["a"]);
  });

  test("keeps nothing of who wrote which field", async () => {
    await using server = await startFakeApiServer();
    const metadata = { name: "a", labels: { v: "1" }, managedFields: [{ manager: "kubelet" }] };
    server.objects.create(nodes, { metadata });
    using api = createClusterApi({ kubeconfig: server.kubeconfig, userAgent: "ballast-test" });
    await using followed = followObjects(api, { path: nodes });
    await followed.synced;
    expect(JSON.stringify(followed.objects.get("a"))).not.toContain("kubelet");
    expect(followed.objects.get("a")?.metadata.labels).toEqual({ v: "1" });
  });

  test("asks for metadata only where that is enough", async () => {
    await using server = await startFakeApiServer();
    server.objects.create(nodes, { metadata: { name: "a" }, spec: { big: true } });
    using api = createClusterApi({ kubeconfig: server.kubeconfig, userAgent: "ballast-test" });
    await using followed = followObjects(api, { path: nodes, metadataOnly: true });
    await followed.synced;
    expect(followed.objects.get("a")).not.toHaveProperty("spec");
    server.objects.create(nodes, { metadata: { name: "b" }, spec: { big: true } });
    await expect.poll(() => followed.objects.get("b")).toBeDefined();
    expect(followed.objects.get("b")).not.toHaveProperty("spec");
  });
});
