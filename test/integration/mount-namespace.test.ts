import { existsSync, readlinkSync } from "node:fs";
import { mkdir, readdir, readFile, readlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { lookAt, unmountAll } from "../../src/mount/mount-point.ts";
import { readMountTable } from "../../src/mount/mount-table.ts";
import { openChild, openFolder, openFolderBelow } from "../../src/mount/open-folder.ts";
import { openMountNamespace } from "../../src/mount/other-namespace.ts";
import { mountReadOnly } from "../../src/mount/read-only-mount.ts";
import { openDescriptors } from "../support/descriptors.ts";
import { mountsMissing } from "../support/disk-mounts.ts";
import { makeTemporaryFolder } from "../support/models.ts";
import { startOtherMounts } from "../support/other-mounts.ts";

const threadNamespace = "/proc/thread-self/ns/mnt";

describe.skipIf(mountsMissing())("another mount namespace", () => {
  test("is where work is done, and the only thing that is done there", async () => {
    await using place = await openPlace();
    const { namespace, other, node } = place;
    const own = readlinkSync(threadNamespace);
    const before = { folder: process.cwd(), root: readlinkSync("/proc/thread-self/root") };
    const seen = namespace.within(() => ({
      file: existsSync(join(node, "only-there")),
      namespace: readlinkSync(threadNamespace),
    }));
    const there = readlinkSync(other.path);
    expect(seen).toMatchObject({ file: true, namespace: there });
    expect(there).not.toBe(own);
    expect(existsSync(join(node, "only-there"))).toBe(false);
    expect(readlinkSync(threadNamespace)).toBe(own);
    expect(readlinkSync("/proc/thread-self/cwd")).toBe(before.folder);
    expect(readlinkSync("/proc/thread-self/root")).toBe(before.root);
  });

  test("is left when work fails, too", async () => {
    await using place = await openPlace();
    const fail = () => {
      throw new Error("no");
    };
    expect(() => place.namespace.within(fail)).toThrow("no");
    expect(existsSync(join(place.node, "only-there"))).toBe(false);
  });

  test("is no place for other threads, whenever they began", async () => {
    await using place = await openPlace();
    const own = await readlink(threadNamespace);
    for (let round = 0; round < 20; round++) {
      const reads = Array.from({ length: 8 }, () => readlink(threadNamespace));
      place.namespace.within(() => undefined);
      expect(new Set(await Promise.all(reads))).toEqual(new Set([own]));
      expect(await readdir(place.node)).not.toContain("only-there");
    }
  });

  test("gets a tree of this one, read-only, which is seen there alone and goes again", async () => {
    await using place = await openPlace();
    const { namespace, node } = place;
    await using tree = await openExisting(place.tree);
    await using root = await openFolder(node, namespace);
    await using target = root && (await openChild(root, "target"));
    if (root === undefined || target === undefined) throw new Error("it has no such folder");
    mountReadOnly(tree, target, { scratch: join(place.path, "scratch"), namespace });
    expect(await lookAt(root, "target")).toMatchObject({ mounted: true });
    const path = join(node, "target");
    const entries = (await readMountTable(namespace)).filter((each) => each.mountPoint === path);
    expect(entries).toMatchObject([
      { options: expect.arrayContaining(["ro", "nosuid", "nodev", "noexec"]) },
    ]);
    expect((await readMountTable()).filter((each) => each.mountPoint === path)).toEqual([]);
    const inside = `/proc/${place.other.pid}/root${path}`;
    expect(await readFile(join(inside, "file"), "utf8")).toBe("text");
    await expect(writeFile(join(inside, "file"), "")).rejects.toMatchObject({ code: "EROFS" });
    expect(await unmountAll(root, "target", namespace)).toBe(1);
    expect(await readdir(inside)).toEqual([]);
  });

  test("is walked through no link, its own links included", async () => {
    await using place = await openPlace();
    const { namespace, node } = place;
    const walk = openFolderBelow(node, join(node, "link", "target"), namespace);
    await expect(walk).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
    expect(await openFolderBelow(node, join(node, "missing", "x"), namespace)).toBeUndefined();
    expect(await openFolder(join(node, "missing"), namespace)).toBeUndefined();
  });

  test("is given back whole: no descriptor stays", async () => {
    const before = openDescriptors();
    {
      await using place = await openPlace();
      await readMountTable(place.namespace);
      await using _ = await openFolder(place.node, place.namespace);
    }
    expect(openDescriptors()).toEqual(before);
  });

  test.each([
    ["its own", () => threadNamespace, /is the mount namespace of this process itself/],
    ["one that is not there", () => "/proc/self/ns/none", /cannot be entered \(ENOENT\)$/],
    ["one of another kind", () => "/proc/self/ns/uts", /cannot be entered \(EINVAL\)$/],
  ])("is refused when it is %s", (_, path, message) => {
    const before = openDescriptors();
    expect(() => openMountNamespace(path())).toThrow(message);
    expect(openDescriptors()).toEqual(before);
  });
});

/** A folder, and another namespace in which a filesystem with more in it lies over it. */
async function openPlace() {
  await using resources = new AsyncDisposableStack();
  const { path } = resources.use(await makeTemporaryFolder());
  const [node, tree] = [join(path, "node"), join(path, "tree")];
  for (const folder of [node, tree]) await mkdir(folder);
  await writeFile(join(tree, "file"), "text");
  const other = resources.use(
    await startOtherMounts(`
      mount -t tmpfs node ${node}
      mkdir ${node}/target
      ln -s . ${node}/link
      touch ${node}/only-there`),
  );
  const namespace = resources.use(openMountNamespace(other.path));
  const owned = resources.move();
  return {
    path,
    node,
    tree,
    other,
    namespace,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function openExisting(path: string) {
  const folder = await openFolder(path);
  if (folder === undefined) throw new Error(`${path} is not there`);
  return folder;
}
