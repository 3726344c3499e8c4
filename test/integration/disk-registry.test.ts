import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { pull } from "../../src/model/pull.ts";
import { push } from "../../src/model/push.ts";
import { pruneRoot } from "../../src/registry/server/prune.ts";
import { startRegistry } from "../../src/registry/server/server.ts";
import { mountSmallDisk, mountsMissing, remount } from "../support/disk-mounts.ts";
import {
  type DiskScene,
  failureOf,
  fillDisk,
  openDiskScene,
  takeInodes,
  writeWeights,
} from "../support/disk-scene.ts";
import { mebi, readTree } from "../support/workplace.ts";

describe.skipIf(mountsMissing())("the embedded registry", () => {
  let scene: DiskScene;
  let first: string;
  let second: string;

  beforeAll(async () => {
    scene = await openDiskScene();
    first = await writeWeights(scene.place, "first", "ab");
    second = await writeWeights(scene.place, "second", "cdef");
  });
  afterAll(() => scene[Symbol.asyncDispose]());

  /** A registry on a disk of its own that has a model, and what its operator is told. */
  async function serveOn(disk: { readonly path: string }) {
    const failures: string[] = [];
    const requests: string[] = [];
    const root = join(disk.path, "root");
    const registry = await startRegistry({
      root,
      limits: { closeGraceMs: 100 },
      onRequest: ({ method, path, status, error }) => {
        requests.push(`${method} ${path.replace(/\/[^/]*$/, "")} ${status}`);
        if (error instanceof Error) failures.push(error.message);
      },
    });
    const reference = (tag: string) => `${registry.address}/team/model:${tag}`;
    await push({ source: first, reference: reference("v1") });
    requests.length = 0;
    return { registry, root, reference, failures, requests };
  }

  const uploads = async (root: string) =>
    readdir(join(root, "team+model", "uploads")).catch(() => []);

  test.each([
    ["is full", fillDisk, /no space left at .*: \d+ bytes free of \d+/],
    ["has no inodes left", takeInodes, /no inodes left at .*: \d+ free of 200/],
  ])(
    "whose disk %s says so once, keeps what it has, and takes the model later",
    async (_, exhaust, told) => {
      await using disk = await mountSmallDisk({ bytes: 32 * mebi, inodes: 200 });
      const { registry, root, reference, failures, requests } = await serveOn(disk);
      await using _registry = registry;
      {
        using _nothingLeft = exhaust(disk.path);
        const refused = await scene.run(["push", second, reference("v2")]);
        expect(refused.code).toBe(9);
        const { message } = failureOf(refused);
        expect(message).toMatch(
          /^REGISTRY_LIMIT: blob sha256:\w+ to 127\.0\.0\.1:\d+\/team\/model:/,
        );
        expect(message).toContain("answered 507 UNKNOWN: the registry's disk is full");
        expect(failures).toEqual([expect.stringMatching(told)]);
        expect(requests.filter((line) => line.endsWith("507"))).toHaveLength(1);
        const { path } = await pull({
          reference: reference("v1"),
          store: scene.place.inside(`of ${_}`),
        });
        expect(await readTree(path)).toEqual(await readTree(first));
      }
      expect(await uploads(root)).toEqual([]);
      await push({ source: second, reference: reference("v2") });
      const { path } = await pull({
        reference: reference("v2"),
        store: scene.place.inside(`of ${_}`),
      });
      expect(await readTree(path)).toEqual(await readTree(second));
    },
  );

  test("whose disk fills in the middle of a layer says so, and nothing of it stays", async () => {
    await using disk = await mountSmallDisk({ bytes: 10 * mebi });
    const { registry, root, reference } = await serveOn(disk);
    await using _registry = registry;
    const refused = await scene.run(["push", second, reference("v2")]);
    expect(failureOf(refused).message).toContain("507 UNKNOWN: the registry's disk is full");
    expect(await uploads(root)).toEqual([]);
    remount(disk.path, `size=${32 * mebi}`);
    await push({ source: second, reference: reference("v2") });
  });

  test("whose disk fills in the middle of a long upload ends it, and takes the next", async () => {
    await using disk = await mountSmallDisk({ bytes: 16 * mebi });
    const { registry, root, failures } = await serveOn(disk);
    await using _registry = registry;
    const url = `${registry.url}/v2/team/model/blobs/uploads/`;
    const body = Buffer.alloc(24 * mebi);
    for (const method of ["PATCH", "PUT"]) {
      const opened = await fetch(url, { method: "POST" });
      const location = `${registry.url}${opened.headers.get("location")}`;
      const at = method === "PUT" ? `${location}?digest=${digestOf(body)}` : location;
      expect((await fetch(at, { method, body })).status).toBe(507);
      expect((await fetch(location)).status).toBe(404);
      expect(await uploads(root)).toEqual([]);
    }
    const told = expect.stringMatching(
      /^write to team\/model: no space left at .*: \d+ bytes free/,
    );
    // A request is logged after its answer.
    await expect.poll(() => failures).toEqual([told, told]);
    remount(disk.path, `size=${48 * mebi}`);
    const path = `${url}?digest=${digestOf(body)}`;
    expect((await fetch(path, { method: "POST", body })).status).toBe(201);
  });

  test("on a full disk ends the upload with 507, still reads and deletes, and prunes to make room", async () => {
    await using disk = await mountSmallDisk({ bytes: 24 * mebi });
    const { registry, root, reference } = await serveOn(disk);
    await using _registry = registry;
    for (const tag of ["v2", "v3"]) await push({ source: second, reference: reference(tag) });
    const url = `${registry.url}/v2/team/model`;
    {
      using _nothingLeft = fillDisk(disk.path);
      const opened = await fetch(`${url}/blobs/uploads/`, { method: "POST" });
      const location = `${registry.url}${opened.headers.get("location")}`;
      const body = Buffer.alloc(mebi);
      expect((await fetch(location, { method: "PATCH", body })).status).toBe(507);
      expect((await fetch(location)).status).toBe(404);
      expect(await uploads(root)).toEqual([]);
      for (const tag of ["v2", "v3"])
        expect((await fetch(`${url}/manifests/${tag}`, { method: "DELETE" })).status).toBe(202);
      const { repositories, freedBytes } = await pruneRoot(root, { graceMs: 0 });
      expect(repositories.filter((each) => "failure" in each)).toEqual([]);
      expect(freedBytes).toBeGreaterThan(2 * mebi);
      expect(await (await fetch(`${url}/tags/list`)).json()).toMatchObject({ tags: ["v1"] });
    }
    const store = scene.place.inside("of a pruned disk");
    const { path } = await pull({ reference: reference("v1"), store });
    expect(await readTree(path)).toEqual(await readTree(first));
    expect(await uploads(root)).toEqual([]);
  });

  test("on a read-only disk serves what it has and refuses the rest", async () => {
    await using disk = await mountSmallDisk({ bytes: 32 * mebi });
    await (await serveOn(disk)).registry.close();
    remount(disk.path, "ro");
    const limits = { closeGraceMs: 100 };
    await using registry = await startRegistry({ root: join(disk.path, "root"), limits });
    const reference = (name: string) => `${registry.address}/${name}`;
    const store = scene.place.inside("of read-only");
    const { path } = await pull({ reference: reference("team/model:v1"), store });
    expect(await readTree(path)).toEqual(await readTree(first));
    for (const name of ["team/model:v2", "team/new:v1"]) {
      const refused = await scene.run(["push", second, reference(name)]);
      expect(refused.code).toBe(9);
      expect(failureOf(refused).message).toContain("405 UNSUPPORTED: the registry is read-only");
    }
  });
});
