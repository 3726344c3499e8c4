import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { inspect } from "../../src/model/inspect.ts";
import { pull } from "../../src/model/pull.ts";
import { startLibraryProcess } from "../support/library-process.ts";
import { makeSafetensors } from "../support/models.ts";
import {
  countProgress,
  mebi,
  openWorkplace,
  readTree,
  seededBytes,
  type Workplace,
} from "../support/workplace.ts";

let place: Workplace;

beforeEach(async () => {
  place = await openWorkplace();
});
afterEach(async () => place[Symbol.asyncDispose]());

describe("a push that is interrupted", () => {
  test("by kill -9 is continued: only what is missing is sent, nothing was visible", async () => {
    // Twice as many as are sent at once: those under way may all arrive although their sender is dead.
    const tensors = ["a", "b", "c", "d", "e", "f", "g", "h"].map((name) => {
      const bytes = seededBytes(name, 32 * mebi);
      return { name, dtype: "U8", shape: [bytes.byteLength], bytes };
    });
    const source = await place.write("big", { "a.safetensors": makeSafetensors(tensors) });
    const reference = place.ref("a:v1");
    const options = JSON.stringify({ source, reference });
    const child = startLibraryProcess(`await ballast.push(${options});`);
    const killed = once(child, "exit");
    place.onRequest = (line) => {
      if (/^PUT .*\/uploads\/.* 201$/.test(line)) child.kill("SIGKILL");
    };
    await killed;
    place.onRequest = undefined;
    await expect(inspect({ reference })).rejects.toMatchObject({ code: "NOT_FOUND" });
    const result = await place.push(source, "a:v1");
    expect(result.bytes.moved).toBeLessThanOrEqual(7 * 32 * mebi + 1000);
    expect(result.bytes.moved).toBeGreaterThan(0);
    const { path } = await pull({ reference, output: place.inside("out") });
    expect(await readTree(path)).toEqual(await readTree(source));
  });

  test("by a registry that loses a layer between upload and manifest is healed", async () => {
    const source = await place.writeModel();
    let removals = 0;
    place.onRequest = (line) => {
      if (!line.startsWith(configHead) || removals > 0) return;
      removals += 1;
      removeLayers("a");
    };
    const counted = countProgress();
    const result = await place.push(source, "a:v1", { onProgress: counted.onProgress });
    expect(removals).toBe(1);
    expect(counted.messages.some((message) => message.includes("sending again"))).toBe(true);
    expect(place.requests.filter((line) => line.startsWith("PUT /v2/a/manifests/"))).toHaveLength(
      2,
    );
    const { path } = await pull({ reference: place.ref("a:v1"), output: place.inside("out") });
    expect(result.digest).toBe((await inspect({ reference: place.ref("a:v1") })).digest);
    expect(await readTree(path)).toEqual(await readTree(source));
  });

  test("by a registry that loses layers of the base is healed too", async () => {
    const first = await place.push(await place.writeModel("m1", "a"), "a:v1");
    const source = await place.writeModel("m2", "b");
    await writeFile(join(source, "sub/other.bin"), seededBytes("aother", 2 * mebi));
    removeLayers("a");
    const result = await place.push(source, "a:v1");
    expect(result.previousDigest).toBe(first.digest);
    const { path } = await pull({ reference: place.ref("a:v1"), output: place.inside("out") });
    expect(await readTree(path)).toEqual(await readTree(source));
  });

  test("by a registry that never keeps its blobs ends with BLOB_UNKNOWN", async () => {
    place.onRequest = (line) => {
      if (line.startsWith(configHead)) removeLayers("a");
    };
    const pushing = place.push(await place.writeModel(), "a:v1");
    await expect(pushing).rejects.toMatchObject({ code: "BLOB_UNKNOWN" });
  });
});

/** The config is asked for when every layer is there. */
const configHead = "HEAD /v2/a/blobs/sha256:44136fa";

/** Deletes every blob of 1 MiB and more, as a registry's collector would. */
function removeLayers(repository: string): void {
  const folder = join(place.registryRoot, repository, "blobs", "sha256");
  spawnSync("find", [folder, "-size", "+1000k", "-delete"]);
}
