import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { push } from "../../src/index.ts";
import { startRegistry } from "../../src/registry/server/server.ts";
import { openLayoutScene } from "../support/layout-scene.ts";
import { makeTemporaryFolder, type TemporaryFolder, writeTree } from "../support/models.ts";
import { runPeer } from "../support/peer-programs.ts";
import { toolsMissing } from "../support/programs.ts";
import { randomBytes } from "../support/random-model.ts";
import { startRegistryProcess } from "../support/registry-process.ts";

/** How long it goes on, however fast the machine is. */
const boundMs = 30_000;
const repository = "team/model";

describe.skipIf(toolsMissing("crane", "regctl"))(
  "a registry that is killed again and again",
  () => {
    let folder: TemporaryFolder;
    let root: string;
    const inside = (name: string) => join(folder.path, name);

    beforeAll(async () => {
      folder = await makeTemporaryFolder();
      root = inside("registry");
    });
    afterAll(() => folder[Symbol.asyncDispose]());

    test("while crane, regctl and ours push to it loses nothing that it acknowledged, and serves nothing else", async () => {
      let registry = await startRegistryProcess(root);
      const { address } = registry;
      const port = Number(address.split(":")[1]);
      const acknowledged = new Map<string, string>();
      const ended = new AbortController();
      const counts = { kills: 0, broken: 0, reads: 0 };

      const pushers: Record<string, (source: string, target: string) => Promise<unknown>> = {
        crane: (source, target) =>
          runPeer("crane", ["push", source, target], { folder: inside("") }),
        regctl: (source, target) =>
          runPeer("regctl", ["image", "copy", `ocidir://${source}:v1`, target], {
            folder: inside(""),
            hosts: [address],
          }),
        ours: (source, target) => push({ source, reference: target, base: false }),
      };

      /** Each model under a tag of its own, and again under one that all of them push to. */
      async function pushAll(who: string): Promise<void> {
        for (let turn = 0; !ended.signal.aborted; turn += 1) {
          const source = inside(`${who}-${turn}`);
          const digest = await writeSource(who, source, `${who} ${turn}`);
          for (const tag of [`${who}-${turn}`, "shared"]) {
            const target = `${address}/${repository}:${tag}`;
            const done = await pushers[who]?.(source, target).then(
              (result) => result,
              () => undefined,
            );
            if (done === undefined) counts.broken += 1;
            else acknowledged.set(tag, digest ?? (done as { digest: string }).digest);
          }
          await rm(source, { recursive: true });
        }
      }

      async function killAll(): Promise<void> {
        const deadline = performance.now() + boundMs;
        while (performance.now() < deadline) {
          await delay(100 + Math.random() * 1200);
          await registry.kill();
          counts.kills += 1;
          registry = await startRegistryProcess(root, port);
        }
        ended.abort();
      }

      async function readAll(): Promise<void> {
        while (!ended.signal.aborted) {
          for (const [tag, digest] of [...acknowledged].filter(([name]) => name !== "shared")) {
            counts.reads += (await isWhole(address, tag, digest)) ? 1 : 0;
            await delay(20);
          }
          const index = await readFile(join(root, "team+model/index.json"), "utf8").catch(
            () => "{}",
          );
          expect(() => JSON.parse(index) as unknown).not.toThrow();
          await delay(20);
        }
      }

      const others = [...Object.keys(pushers).map(pushAll), readAll()];
      await killAll().finally(() => ended.abort());
      await Promise.all(others);
      for (const [tag, digest] of acknowledged)
        if (tag !== "shared")
          expect([tag, await isWhole(address, tag, digest)]).toEqual([tag, true]);
      const shared = await fetch(`http://${address}/v2/${repository}/manifests/shared`);
      expect([...acknowledged.values()]).toContain(
        digestOf(Buffer.from(await shared.arrayBuffer())),
      );
      await registry.kill();
      console.log(`killed: ${JSON.stringify({ ...counts, acknowledged: acknowledged.size })}`);
      expect(counts.kills).toBeGreaterThan(3);
      expect(acknowledged.size).toBeGreaterThan(3);

      await using last = await startRegistry({ root, limits: { uploadIdleMs: 1 } });
      const unfinished = () => readdir(join(root, "team+model/uploads")).catch(() => []);
      await expect.poll(unfinished, { timeout: 10_000 }).toEqual([]);
      await last.close();
      expect((await readdir(root)).toSorted()).toEqual(["team+model"]);
      const names = await readdir(join(root, "team+model"));
      expect(names.toSorted()).toEqual(["blobs", "index.json", "oci-layout"]);
      for (const hex of await readdir(join(root, "team+model/blobs/sha256")))
        expect(digestOf(await readFile(join(root, "team+model/blobs/sha256", hex)))).toBe(
          `sha256:${hex}`,
        );
    }, 120_000);

    /** A model folder of our own, or a layout with one image, whose digest is told. */
    async function writeSource(
      who: string,
      source: string,
      seed: string,
    ): Promise<string | undefined> {
      if (who === "ours") {
        await writeTree(source, { "model.bin": randomBytes(seed, 3_000_000), "x.txt": seed });
        return undefined;
      }
      const scene = await openLayoutScene(source);
      const layers = [1, 2, 3].map((at) =>
        randomBytes(`${seed} ${at}`, 300_000).toString("base64"),
      );
      return scene.manifest(["{}", ...layers], { tag: "v1" });
    }
  },
);

/** False while the registry does not answer. Throws when what it answers is not what was pushed. */
async function isWhole(address: string, tag: string, digest: string): Promise<boolean> {
  const read = async (path: string) => {
    const response = await fetch(`http://${address}/v2/${repository}/${path}`);
    expect([path, response.status]).toEqual([path, 200]);
    return Buffer.from(await response.arrayBuffer());
  };
  try {
    const manifest = await read(`manifests/${tag}`);
    expect(digestOf(manifest)).toBe(digest);
    const { layers } = JSON.parse(manifest.toString()) as { layers: { digest: string }[] };
    for (const layer of layers)
      expect(digestOf(await read(`blobs/${layer.digest}`))).toBe(layer.digest);
    return true;
  } catch (error) {
    if (error instanceof TypeError) return false;
    throw error;
  }
}
