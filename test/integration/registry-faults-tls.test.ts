import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import {
  type Certificates,
  type KeyPair,
  makeCertificates,
  makeSelfSigned,
} from "../support/certificates.ts";
import {
  chunkBytes,
  type FaultModel,
  type FaultScene,
  makeFaultModel,
  openFaultScene,
} from "../support/fault-scene.ts";
import { makeTemporaryFolder } from "../support/models.ts";
import type { FaultRegistry } from "../support/registry-faults.ts";

const made = new AsyncDisposableStack();
let model: FaultModel;
let certificates: Certificates;
let stranger: KeyPair;
let scene: FaultScene;
let registry: FaultRegistry;

beforeAll(async () => {
  const folder = made.use(await makeTemporaryFolder());
  model = made.use(await makeFaultModel());
  certificates = await makeCertificates(folder.path);
  stranger = await makeSelfSigned(folder.path, "stranger", ["IP:127.0.0.1"]);
});
afterAll(() => made.disposeAsync());
beforeEach(async () => {
  const connection = { plainHttp: false, ca: [certificates.authority] };
  scene = await openFaultScene(model, { tls: certificates.server, connection });
  ({ registry } = scene);
});
afterEach(() => scene[Symbol.asyncDispose]());

/** Shows another certificate once a request fits, and counts those that come all the same. */
function changeAt(fits: () => boolean): { readonly later: number } {
  let later = 0;
  let changed = false;
  registry.intercept = () => {
    if (changed) later += 1;
    if (changed || !fits()) return undefined;
    changed = true;
    registry.changeCertificate(stranger);
    return { reset: true };
  };
  return {
    get later() {
      return later;
    },
  };
}

const untrusted = {
  code: "REGISTRY_UNAVAILABLE",
  retryable: false,
  message: expect.stringContaining("not trusted") as string,
};

test("a pull whose registry becomes another in the middle sends it nothing more, and goes on later", async () => {
  scene.publish();
  const ranges = () => registry.seen.filter(({ headers }) => headers.range !== undefined).length;
  const change = changeAt(() => ranges() > 12);
  await expect(scene.pull()).rejects.toMatchObject(untrusted);
  expect(change.later).toBe(0);
  await scene.expectNothingVisible();
  registry.changeCertificate(certificates.server);
  registry.intercept = undefined;
  const pulled = await scene.pull();
  await scene.expectModel(pulled);
  expect(pulled.bytes.reused).toBeGreaterThanOrEqual(4 * chunkBytes);
});

test("a push whose registry becomes another in the middle sends it nothing more, and goes on later", async () => {
  const change = changeAt(() => registry.seen.some(({ method }) => method === "PUT"));
  await expect(scene.push()).rejects.toMatchObject(untrusted);
  expect(change.later).toBe(0);
  expect(registry.manifests.size).toBe(0);
  registry.changeCertificate(certificates.server);
  registry.intercept = undefined;
  await scene.push();
  expect([...registry.blobs.keys()].sort()).toEqual([...model.blobs.keys()].sort());
});
