import { afterAll, beforeAll, expect, test } from "vitest";
import { isModelError } from "../../src/core/errors.ts";
import { pull } from "../../src/model/pull.ts";
import { push } from "../../src/model/push.ts";
import type { Descriptor } from "../../src/oci/descriptor.ts";
import { openLayout } from "../../src/oci/layout/open-layout.ts";
import { makeSafetensors } from "../support/models.ts";
import { type FaultRegistry, startFaultRegistry } from "../support/registry-faults.ts";
import { openWorkplace, readTree, seededBytes, type Workplace } from "../support/workplace.ts";

const tensorBytes = 3_145_728;

let place: Workplace;
let registry: FaultRegistry;

beforeAll(async () => {
  place = await openWorkplace();
  registry = await startFaultRegistry();
});
afterAll(async () => {
  await registry[Symbol.asyncDispose]();
  await place[Symbol.asyncDispose]();
});

/** Puts a model of one layer with five tensors into the registry that misbehaves. */
async function publish(): Promise<{ source: string; layer: string; size: number }> {
  const tensors = [0, 1, 2, 3, 4].map((at) => ({
    name: `layers.${at}.up.weight`,
    dtype: "U8",
    shape: [tensorBytes],
    bytes: seededBytes(`broken ${at}`, tensorBytes),
  }));
  const source = await place.write("source", { "m.safetensors": makeSafetensors(tensors) });
  const pushed = await push({ source, reference: `oci:${place.inside("layout")}:v1` });
  await using layout = await openLayout(place.inside("layout"));
  const manifest = await layout.fetchManifest("v1");
  const { mediaType, digest } = manifest.descriptor;
  for (const name of ["v1", digest])
    registry.manifests.set(name, { mediaType, bytes: manifest.bytes });
  const document = JSON.parse(manifest.bytes.toString()) as {
    layers: Descriptor[];
  };
  for (const { digest: blob } of document.layers) {
    const pieces: Buffer[] = [];
    for await (const piece of layout.readBlob(blob)) pieces.push(Buffer.from(piece));
    registry.addBlob(Buffer.concat(pieces));
  }
  const largest = document.layers.toSorted((a, b) => b.size - a.size)[0];
  expect(pushed.layers.total).toBe(1);
  return { source, layer: largest?.digest ?? "", size: largest?.size ?? 0 };
}

test("a connection that breaks for good in the middle of a range costs no finished chunk", async () => {
  const { source, layer, size } = await publish();
  const reference = `${registry.host}/team/model:v1`;
  const store = place.inside("store");
  const broken = 3 * tensorBytes + 1_500_000;
  registry.blobFaults.push({}, { resetAfter: broken });
  for (let at = 0; at < 20; at += 1) registry.blobFaults.push({ resetAfter: 0 });
  const failure = await pull({ reference, store }).catch((error: unknown) => error);
  expect(isModelError(failure, "REGISTRY_UNAVAILABLE")).toBe(true);
  registry.blobFaults.length = 0;
  registry.seen.length = 0;
  const { bytes, path } = await pull({ reference, store });
  const ranges = registry.seen
    .filter(({ url }) => url.includes(layer))
    .map(({ headers }) => headers.range)
    .filter((range) => range !== "bytes=0-0"); // Asks whether the registry redirects.
  expect(bytes.reused).toBeGreaterThanOrEqual(3 * tensorBytes);
  expect(ranges).toEqual([`bytes=${size - bytes.moved}-${size - 1}`]);
  expect(await readTree(path)).toEqual(await readTree(source));
});
