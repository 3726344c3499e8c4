import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { createClusterApi } from "../../src/kubernetes/api/cluster-api.ts";
import { createControllerMetrics } from "../../src/kubernetes/controller/metrics.ts";
import { provisionVolumes } from "../../src/kubernetes/controller/provisioner.ts";
import { type FakeApiServer, startFakeApiServer } from "../support/fake-api-server.ts";

const claims = "/api/v1/persistentvolumeclaims";
const volumes = "/api/v1/persistentvolumes";
const classes = "/apis/storage.k8s.io/v1/storageclasses";
const events = "/api/v1/events";
const reference = "registry.example.com/team/llama:v1";
const soon = { timeout: 15_000, interval: 20 };

interface Scene extends AsyncDisposable {
  readonly server: FakeApiServer;
  readonly log: string[];
  readonly claim: (name: string, options?: ClaimOptions) => string;
  readonly storageClass: (name: string, fields?: object) => void;
  volumeNames(): string[];
  eventTexts(): string[];
  /** Starts another one that does the same. */
  startAnother(): void;
}

interface ClaimOptions {
  readonly storageClassName?: string;
  readonly annotations?: Record<string, string>;
}

async function openScene(prepare: (scene: Scene) => void = () => undefined): Promise<Scene> {
  const owned = new AsyncDisposableStack();
  const server = owned.use(await startFakeApiServer());
  const stop = new AbortController();
  const log: string[] = [];
  const start = () => {
    const api = owned.use(
      createClusterApi({ kubeconfig: server.kubeconfig, userAgent: "ballast-test" }),
    );
    const running = provisionVolumes({
      api,
      metrics: createControllerMetrics(),
      signal: stop.signal,
      log: (event, facts) => log.push(`${event} ${JSON.stringify(facts)}`),
      onOutage: () => undefined,
    });
    owned.defer(async () => {
      stop.abort();
      await running;
    });
  };
  const scene: Scene = {
    server,
    log,
    claim: (name, { storageClassName = "models", annotations = {} } = {}) => {
      const own = { "volume.kubernetes.io/storage-provisioner": "csi.ballast.dev" };
      const metadata = { name, namespace: "default", annotations: { ...own, ...annotations } };
      const spec = { storageClassName, accessModes: ["ReadWriteOnce"] };
      return server.objects.create(claims, { metadata, spec }).metadata.uid;
    },
    storageClass: (name, fields = {}) => {
      const parameters = { reference };
      const content = { provisioner: "csi.ballast.dev", parameters, ...fields };
      server.objects.create(classes, { metadata: { name }, ...content });
    },
    volumeNames: () => server.objects.list(volumes).map(({ metadata }) => metadata.name),
    eventTexts: () =>
      server.objects
        .list(events)
        .map((each) => `${String(each["reason"])}: ${String(each["message"])}`),
    startAnother: start,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
  prepare(scene);
  start();
  return scene;
}

test("two at once, and one after the other, make one volume for a claim", async () => {
  const uids: string[] = [];
  await using scene = await openScene((prepared) => {
    prepared.storageClass("models");
    for (let n = 0; n < 20; n++) uids.push(prepared.claim(`c${n}`));
    prepared.startAnother();
  });
  await expect.poll(() => scene.volumeNames().length, soon).toBe(20);
  await expect.poll(() => scene.eventTexts().length, soon).toBe(20);
  expect(scene.volumeNames().sort()).toEqual(uids.map((uid) => `pvc-${uid}`).sort());
  scene.startAnother();
  await sleep(500);
  expect(scene.volumeNames()).toHaveLength(20);
  expect(scene.eventTexts().filter((text) => !text.startsWith("ProvisioningSucceeded"))).toEqual(
    [],
  );
});

test("what is not ours is left alone", async () => {
  await using scene = await openScene(({ storageClass, claim, server }) => {
    storageClass("models");
    storageClass("others", { provisioner: "other.example.com" });
    storageClass("late", { volumeBindingMode: "WaitForFirstConsumer" });
    claim("foreign-class", { storageClassName: "others" });
    claim("late", { storageClassName: "late" });
    claim("foreign", { annotations: { "volume.kubernetes.io/storage-provisioner": "x" } });
    const uid = claim("bound");
    const bound = server.objects.get(claims, "default/bound");
    const spec = { ...Object(bound?.["spec"]), volumeName: `pvc-${uid}` };
    server.objects.update(claims, "default/bound", { ...bound, spec }, "main");
  });
  scene.claim("last");
  await expect.poll(() => scene.volumeNames().length, soon).toBe(1);
  await sleep(300);
  expect(scene.volumeNames()).toHaveLength(1);
  expect(scene.eventTexts()).toHaveLength(1);
});

test("a failure is one Event: the same one is not told again, another replaces it", async () => {
  await using scene = await openScene(({ claim }) => claim("c", { annotations: { n: "0" } }));
  await expect
    .poll(() => scene.eventTexts(), soon)
    .toEqual(['ProvisioningFailed: there is no StorageClass "models"']);
  const touch = (n: string) => {
    const found = scene.server.objects.get(claims, "default/c");
    const metadata = {
      ...found?.metadata,
      annotations: { ...Object(found?.metadata["annotations"]), n },
    };
    scene.server.objects.update(claims, "default/c", { ...found, metadata }, "main");
  };
  for (let n = 1; n < 20; n++) touch(String(n));
  await sleep(300);
  const writes = () => scene.server.writes().filter((each) => each.includes("/events"));
  expect(writes()).toHaveLength(1);
  scene.storageClass("models", { parameters: { reference: "no reference" } });
  await expect
    .poll(() => scene.eventTexts(), soon)
    .toEqual([expect.stringContaining("no reference")]);
  expect(scene.server.objects.list(events)[0]).toMatchObject({
    type: "Warning",
    count: 2,
    involvedObject: { kind: "PersistentVolumeClaim", name: "c", namespace: "default" },
  });
  // One that knows nothing of the first finds its Event.
  scene.startAnother();
  await expect.poll(() => writes().length, soon).toBeGreaterThan(2);
  expect(scene.eventTexts()).toHaveLength(1);
});

test("a volume of that name that is another's is told, and not touched", async () => {
  await using scene = await openScene(({ storageClass, claim, server }) => {
    storageClass("models");
    const name = `pvc-${claim("c")}`;
    server.objects.create(volumes, { metadata: { name }, spec: { claimRef: { uid: "another" } } });
  });
  await expect
    .poll(() => scene.eventTexts(), soon)
    .toEqual([expect.stringContaining("not this claim's")]);
  expect(scene.server.writes().filter((each) => !each.includes("/events"))).toEqual([]);
});

test("a server that fails is asked again; Events that may not be written hold nothing up", async () => {
  await using scene = await openScene(({ storageClass, claim, server }) => {
    storageClass("models");
    claim("c");
    server.fail({ match: /POST .*persistentvolumes/, status: 500, times: 3 });
    server.fail({ match: /events/, status: 403 });
  });
  await expect.poll(() => scene.volumeNames().length, soon).toBe(1);
  await expect
    .poll(() => scene.log.map((line) => line.split(" {")[0]), soon)
    .toEqual(["volume made", "event not written"]);
});

test("a volume that the API server refuses is told to the claim, and tried again", async () => {
  await using scene = await openScene(({ storageClass, claim, server }) => {
    storageClass("models");
    claim("c");
    server.fail({ match: /POST .*persistentvolumes/, status: 403, message: "a policy", times: 1 });
  });
  await expect.poll(() => scene.eventTexts(), soon).toEqual([expect.stringContaining("a policy")]);
  await expect.poll(() => scene.volumeNames().length, soon).toBe(1);
});

test("of released volumes those go that are ours and of a class that deletes", async () => {
  const provisioned = { "pv.kubernetes.io/provisioned-by": "csi.ballast.dev" };
  const csi = { driver: "csi.ballast.dev", volumeHandle: "v" };
  await using scene = await openScene(({ server }) => {
    const add = (name: string, policy: string, phase: string, fields: object = {}) => {
      const spec = { persistentVolumeReclaimPolicy: policy, csi };
      const volume = { metadata: { name, annotations: provisioned }, spec, ...fields };
      server.objects.create(volumes, volume);
      server.objects.update(volumes, name, { ...volume, status: { phase } }, "status");
    };
    add("over", "Delete", "Released");
    add("bound", "Delete", "Bound");
    add("kept", "Retain", "Released");
    add("by-hand", "Delete", "Released", { metadata: { name: "by-hand" } });
    const other = {
      persistentVolumeReclaimPolicy: "Delete",
      csi: { ...csi, driver: "other.example.com" },
    };
    add("other", "Delete", "Released", { spec: other });
  });
  await expect.poll(() => scene.volumeNames(), soon).toEqual(["bound", "kept", "by-hand", "other"]);
  const bound = scene.server.objects.get(volumes, "bound");
  scene.server.objects.update(
    volumes,
    "bound",
    { ...bound, status: { phase: "Released" } },
    "status",
  );
  await expect.poll(() => scene.volumeNames(), soon).toEqual(["kept", "by-hand", "other"]);
});

test("a claim that is deleted meanwhile is forgotten", async () => {
  await using scene = await openScene(({ storageClass, claim, server }) => {
    storageClass("models");
    claim("c");
    server.fail({ match: /POST .*persistentvolumes/, status: 403, times: 1 });
  });
  await expect.poll(() => scene.eventTexts().length, soon).toBe(1);
  scene.server.objects.remove(claims, "default/c");
  await sleep(2500);
  expect(scene.volumeNames()).toEqual([]);
});
