import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { type ClusterApi, createClusterApi } from "../../src/kubernetes/api/cluster-api.ts";
import { electLeader, type LeaseIdentity, renewLease } from "../../src/kubernetes/api/leases.ts";
import type { Lease } from "../../src/kubernetes/api/objects.ts";
import { type FakeApiServer, startFakeApiServer } from "../support/fake-api-server.ts";

const leases = "/apis/coordination.k8s.io/v1/leases";
const namespace = "ballast-system";
const key = `${namespace}/lead`;
/** Long enough for a busy machine, which the test shares with the programs of others. */
const seconds = 2;

interface Scene extends AsyncDisposable {
  readonly server: FakeApiServer;
  readonly api: ClusterApi;
  lease(): Lease["spec"] | undefined;
}

async function openScene(): Promise<Scene> {
  await using opened = new AsyncDisposableStack();
  const server = opened.use(await startFakeApiServer());
  const api = opened.use(
    createClusterApi({ kubeconfig: server.kubeconfig, userAgent: "ballast-test" }),
  );
  const owned = opened.move();
  return {
    server,
    api,
    lease: () => server.objects.get(leases, key)?.["spec"] as Lease["spec"],
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const identity = (holder: string): LeaseIdentity => ({ namespace, name: "lead", holder, seconds });

interface Candidate {
  readonly stop: AbortController;
  readonly ended: Promise<void>;
  readonly failures: unknown[];
  readonly leads: () => boolean;
  readonly terms: () => number;
}

function run(
  api: ClusterApi,
  holder: string,
  work?: (signal: AbortSignal) => Promise<void>,
): Candidate {
  const stop = new AbortController();
  const failures: unknown[] = [];
  let [leads, terms] = [false, 0];
  const lead = async (signal: AbortSignal) => {
    [leads, terms] = [true, terms + 1];
    try {
      if (work !== undefined) await work(signal);
      else await sleep(3_600_000, undefined, { signal, ref: false }).catch(() => undefined);
    } finally {
      leads = false;
    }
  };
  const onFailure = (error: unknown) => failures.push(error);
  const ended = electLeader(api, identity(holder), { lead, onFailure, signal: stop.signal });
  return { stop, ended, failures, leads: () => leads, terms: () => terms };
}

async function end(...candidates: Candidate[]): Promise<void> {
  for (const { stop } of candidates) stop.abort();
  await Promise.all(candidates.map(({ ended }) => ended));
}

describe("of those who ask for one lease", () => {
  test("one leads, and the next soon after it gives up", async () => {
    await using scene = await openScene();
    const candidates = ["a", "b", "c"].map((holder) => run(scene.api, holder));
    const leading = () => candidates.filter((each) => each.leads());
    await expect.poll(() => leading().length).toBe(1);
    await sleep(2 * seconds * 1000);
    expect(leading()).toHaveLength(1);
    const [first] = leading();
    if (first === undefined) throw new Error("nobody leads");
    await end(first);
    expect(scene.lease()?.holderIdentity).not.toBe("");
    await expect.poll(() => leading().length, { timeout: 700 * seconds }).toBe(1);
    expect(scene.lease()?.leaseTransitions).toBeGreaterThan(0);
    expect(candidates.flatMap(({ failures }) => failures)).toEqual([]);
    await end(...candidates);
    expect(scene.lease()?.holderIdentity ?? "").toBe("");
  });

  test("two never lead at once, however the server fails", async () => {
    await using scene = await openScene();
    const { server } = scene;
    let [leading, most, terms] = [0, 0, 0];
    const work = async (signal: AbortSignal) => {
      terms++;
      most = Math.max(most, ++leading);
      await sleep(3_600_000, undefined, { signal, ref: false }).catch(() => undefined);
      leading--;
    };
    const candidates = ["a", "b", "c"].map((holder) => run(scene.api, holder, work));
    await expect.poll(() => terms).toBe(1);
    const troubles = [
      { match: /PUT .*leases/, status: 500, times: 8 },
      { match: /PUT .*leases/, delayMs: 1500, times: 2 },
      { match: /GET .*leases/, delayMs: 2500, times: 3 },
      { match: /leases/, status: 429, retryAfterSeconds: 2, times: 3 },
      { match: /PUT .*leases/, status: 409, times: 2 },
    ];
    for (const trouble of troubles) {
      using _ = server.fail(trouble);
      await sleep(2500 * seconds);
    }
    await expect.poll(() => leading, { timeout: 5000 }).toBe(1);
    expect(most).toBe(1);
    expect(terms).toBeGreaterThan(1);
    await end(...candidates);
  });

  test("who cannot renew stops before another may begin", async () => {
    await using scene = await openScene();
    const first = run(scene.api, "a");
    await expect.poll(first.leads).toBe(true);
    using _ = scene.server.fail({ match: /leases/, delayMs: 60_000 });
    const cut = performance.now();
    await expect.poll(first.leads, { timeout: 5000, interval: 20 }).toBe(false);
    expect(performance.now() - cut).toBeLessThan(seconds * 1000);
    await end(first);
  });

  test("who lost its lease to another stops", async () => {
    await using scene = await openScene();
    const first = run(scene.api, "a");
    await expect.poll(first.leads).toBe(true);
    const stored = scene.server.objects.get(leases, key);
    const spec = { ...scene.lease(), holderIdentity: "thief" };
    scene.server.objects.update(leases, key, { ...stored, spec }, "main");
    await expect.poll(first.leads, { timeout: 700 * seconds }).toBe(false);
    // The thief does not renew: it is waited for, and no longer.
    await expect.poll(first.leads, { timeout: 3000 * seconds }).toBe(true);
    await end(first);
  });

  test("a dead one is waited for by one's own clock, whatever times it wrote", async () => {
    await using scene = await openScene();
    for (const renewTime of ["1999-01-01T00:00:00.000000Z", "2199-01-01T00:00:00.000000Z"]) {
      const metadata = { name: "lead", namespace };
      const spec = { holderIdentity: "dead", leaseDurationSeconds: 1, renewTime };
      scene.server.objects.create(leases, { metadata, spec });
      const next = run(scene.api, "b");
      await sleep(700 * seconds);
      expect(next.leads()).toBe(false);
      await expect.poll(next.leads, { timeout: 2000 * seconds }).toBe(true);
      await end(next);
      scene.server.objects.remove(leases, key);
    }
  });

  test("one that says it needs longer is given longer", async () => {
    await using scene = await openScene();
    const metadata = { name: "lead", namespace };
    const spec = { holderIdentity: "dead", leaseDurationSeconds: 3 };
    scene.server.objects.create(leases, { metadata, spec });
    const next = run(scene.api, "b");
    await sleep(2000);
    expect(next.leads()).toBe(false);
    await expect.poll(next.leads, { timeout: 3000 }).toBe(true);
    await end(next);
  });

  test("a leader whose write was answered by nobody goes on leading", async () => {
    await using scene = await openScene();
    const first = run(scene.api, "a");
    await expect.poll(first.leads).toBe(true);
    using _ = scene.server.fail({ match: /PUT .*leases/, status: 409, times: 1 });
    await sleep(2000 * seconds);
    expect([first.leads(), first.terms()]).toEqual([true, 1]);
    await end(first);
  });
});

describe("the election", () => {
  test("ends when the work does, and the lease is given up", async () => {
    await using scene = await openScene();
    const only = run(scene.api, "a", async () => undefined);
    await only.ended;
    expect(only.terms()).toBe(1);
    expect(scene.lease()?.holderIdentity ?? "").toBe("");
  });

  test("goes on after work that failed, and tells so", async () => {
    await using scene = await openScene();
    let tries = 0;
    const only = run(scene.api, "a", async () => {
      if (++tries < 3) throw new Error("broken");
    });
    await only.ended;
    expect(tries).toBe(3);
    expect(only.failures).toEqual([new Error("broken"), new Error("broken")]);
  });

  test("waits for a server that is away, and ends at once when it is stopped", async () => {
    await using scene = await openScene();
    await scene.server.stop();
    const only = run(scene.api, "a");
    await expect.poll(() => only.failures.length, { timeout: 5000 }).toBeGreaterThan(0);
    await scene.server.resume();
    await expect.poll(only.leads, { timeout: 5000 }).toBe(true);
    const start = performance.now();
    await end(only);
    expect(performance.now() - start).toBeLessThan(1000);
  });
});

describe("a lease that nobody else may hold", () => {
  test("is made, and renewed with one request each time", async () => {
    await using scene = await openScene();
    const ownerReferences = [{ apiVersion: "v1", kind: "Node", name: "n", uid: "u" }];
    const mine = { ...identity("a"), ownerReferences };
    await renewLease(scene.api, mine);
    const made = scene.server.objects.get(leases, key);
    expect(made?.metadata).toMatchObject({ ownerReferences });
    expect(scene.lease()).toMatchObject({ holderIdentity: "a", leaseDurationSeconds: seconds });
    expect(scene.lease()?.renewTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
    const before = scene.server.writes().length;
    await sleep(5);
    await renewLease(scene.api, mine);
    expect(scene.server.writes().slice(before)).toEqual([
      `PATCH /apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/lead`,
    ]);
    expect(scene.lease()?.renewTime).not.toBe(Reflect.get(Object(made?.["spec"]), "renewTime"));
  });

  test("is made once where the answer to its making was lost", async () => {
    await using scene = await openScene();
    const metadata = { name: "lead", namespace };
    using _ = scene.server.fail({ match: /PATCH/, status: 404, times: 1 });
    scene.server.objects.create(leases, { metadata, spec: { holderIdentity: "a" } });
    await renewLease(scene.api, identity("a"));
    expect(scene.lease()?.renewTime).toBeDefined();
  });

  test("that may not be written is refused", async () => {
    await using scene = await openScene();
    using _ = scene.server.fail({ match: /leases/, status: 403 });
    await expect(renewLease(scene.api, identity("a"))).rejects.toMatchObject({ code: "FORBIDDEN" });
  });
});
