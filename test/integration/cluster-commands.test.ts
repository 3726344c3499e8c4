import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { labelPrefix } from "../../src/kubernetes/names.ts";
import { type RegistryServer, startRegistry } from "../../src/registry/server/server.ts";
import { runBallast, startBallast } from "../support/ballast-command.ts";
import { type FakeApiServer, startFakeApiServer } from "../support/fake-api-server.ts";
import { makeTemporaryFolder, type TemporaryFolder, writeTree } from "../support/models.ts";

let folder: TemporaryFolder;
let registry: RegistryServer;
let cluster: FakeApiServer;

const nodes = "/api/v1/nodes";
const pods = "/api/v1/pods";
const leases = "/apis/coordination.k8s.io/v1/leases";
const nodeModels = "/apis/ballast.dev/v1alpha1/nodemodels";
const namespace = "ballast-system";

beforeAll(async () => {
  folder = await makeTemporaryFolder();
  registry = await startRegistry({ root: join(folder.path, "registry") });
  cluster = await startFakeApiServer();
});

afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await registry.close();
  await folder[Symbol.asyncDispose]();
});

const ballast = (...args: readonly string[]) =>
  runBallast([...args, "--kubeconfig", cluster.kubeconfig], { home: folder.path });
const create = (collection: string, name: string, more: object = {}) =>
  cluster.objects.create(collection, { metadata: { name, ...more } });

describe("ballast cluster locate", () => {
  test("asks the registry what a tag is", async () => {
    const model = join(folder.path, "model");
    await writeTree(model, { "config.json": "{}" });
    const reference = `${registry.address}/team/a:v1`;
    const pushed = await runBallast(["push", model, reference], { home: folder.path });
    const digest = pushed.out.trim().split("@")[1];
    create(nodes, "a");
    create(nodeModels, "a");
    const status = {
      reportedAt: new Date().toISOString(),
      agentReady: true,
      models: [{ digest, state: "ready", bytes: 2 }],
    };
    cluster.objects.update(nodeModels, "a", { metadata: { name: "a" }, status }, "status");
    // Where an older CRD has dropped fields.
    create(nodeModels, "old");
    const rest = { reportedAt: status.reportedAt };
    cluster.objects.update(
      nodeModels,
      "old",
      { metadata: { name: "old" }, status: rest },
      "status",
    );
    const { code, out, err } = await ballast("cluster", "locate", reference, "--json");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(JSON.parse(out)).toMatchObject({ reference, digest, nodes: [{ node: "a" }] });
    expect(cluster.writes()).toEqual([]);
  });

  test("says that the tag is not there before it asks the cluster", async () => {
    const { code, err } = await ballast("cluster", "locate", `${registry.address}/team/a:v2`);
    expect(code).toBe(3);
    expect(err).toContain("has no tag v2");
  });
});

describe("ballast cluster", () => {
  test("says where no cluster answers, and what names none", async () => {
    const kubeconfig = join(folder.path, "nowhere");
    const missing = ["cluster", "doctor", "--kubeconfig", kubeconfig];
    expect(await runBallast(missing, { home: folder.path })).toMatchObject({ code: 2, out: "" });
    const nothing = await runBallast(["cluster", "doctor"], { home: folder.path });
    expect(nothing).toMatchObject({ code: 2, err: expect.stringContaining("no kubeconfig") });
    const context = await ballast("cluster", "doctor", "--context", "other");
    expect(context).toMatchObject({ code: 2, err: expect.stringContaining("no context other") });
  });

  test.each([
    [["teardown"], "--check or --labels"],
    [["teardown", "--check", "--labels"], "--check or --labels"],
    [["teardown", "--labels", "--wait", "soon"], "say seconds"],
    [["explain", "pod", "a/b/c"], "NAMESPACE/NAME"],
  ])("refuses %j", async (args, hint) => {
    const { code, err } = await ballast("cluster", ...args);
    expect(code).toBe(2);
    expect(err).toContain(hint);
  });
});

describe("ballast cluster teardown --labels", () => {
  const teardown = ["cluster", "teardown", "--labels", "--json"];
  const labelled = { [`${labelPrefix}${"0".repeat(40)}`]: "ready", mine: "stays" };

  test("writes once to each node that has a label of ours, and to no other, then to none", async () => {
    for (let at = 0; at < 1200; at++) create(nodes, `n${at}`, { labels: { at: String(at) } });
    for (const at of [7, 600, 1199]) {
      const metadata = { name: `n${at}`, labels: labelled };
      cluster.objects.update(nodes, `n${at}`, { metadata }, "main");
    }
    create(leases, "reporter.n7", { namespace });
    create(leases, "ballast-controller", { namespace });
    create(leases, "of-somebody", { namespace });
    const before = cluster.writes().length;
    const { code, out, err } = await ballast(...teardown);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(JSON.parse(out)).toEqual({
      nodes: 3,
      leases: 2,
      nodeModels: 2,
      objects: [],
      remaining: [],
    });
    const writes = cluster.writes().slice(before);
    expect(writes.filter((each) => each.startsWith("PATCH")).toSorted()).toEqual([
      `PATCH ${nodes}/n1199`,
      `PATCH ${nodes}/n600`,
      `PATCH ${nodes}/n7`,
    ]);
    expect(cluster.objects.get(nodes, "n600")?.metadata.labels).toEqual({ mine: "stays" });
    expect(cluster.objects.list(leases).map(({ metadata }) => metadata.name)).toEqual([
      "of-somebody",
    ]);
    const again = await ballast(...teardown);
    expect(JSON.parse(again.out)).toMatchObject({ nodes: 0, leases: 0, nodeModels: 0 });
  });

  test("goes on where the CRD is gone already", async () => {
    cluster.absent.add(nodeModels);
    expect(await ballast(...teardown)).toMatchObject({ code: 0 });
    cluster.absent.delete(nodeModels);
  });

  test("waits until reporters are gone before it takes labels away", async () => {
    const labels = {
      "app.kubernetes.io/name": "ballast",
      "app.kubernetes.io/component": "reporter",
    };
    create(pods, "ballast-reporter-x", { namespace, labels });
    cluster.objects.update(nodes, "n1", { metadata: { name: "n1", labels: labelled } }, "main");
    const args = [...teardown, "--kubeconfig", cluster.kubeconfig];
    const running = startBallast(args, { home: folder.path });
    const asked = () => cluster.requests.filter(({ path }) => path.endsWith(`${namespace}/pods`));
    const before = asked().length;
    await expect.poll(() => asked().length, { timeout: 20_000 }).toBeGreaterThan(before + 1);
    expect(cluster.objects.get(nodes, "n1")?.metadata.labels).toEqual(labelled);
    cluster.objects.remove(pods, `${namespace}/ballast-reporter-x`);
    const { code, out } = await running.result;
    expect({ code, ...JSON.parse(out) }).toMatchObject({ code: 0, nodes: 1, remaining: [] });
  });

  test("names who is still there when the time is over", async () => {
    const labels = {
      "app.kubernetes.io/name": "ballast",
      "app.kubernetes.io/component": "controller",
    };
    create(pods, "ballast-controller-x", { namespace, labels });
    const { code, out } = await ballast("cluster", "teardown", "--labels", "--wait", "0");
    expect(code).toBe(0);
    expect(out).toContain("still there, and may write them again: ballast-controller-x");
    cluster.objects.remove(pods, `${namespace}/ballast-controller-x`);
  });

  test("fails where it may not write to nodes, and says who refused", async () => {
    cluster.objects.update(nodes, "n2", { metadata: { name: "n2", labels: labelled } }, "main");
    using _ = cluster.fail({ match: /^PATCH .*nodes/, status: 403, message: "not you" });
    const { code, err } = await ballast("cluster", "teardown", "--labels");
    expect(code).toBe(4);
    expect(err).toContain("PATCH /api/v1/nodes/n2: the API server answered 403, not you");
  });
});
