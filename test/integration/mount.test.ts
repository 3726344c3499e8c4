import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readdir, readFile, readlink, rename, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { lookAt, unmountAll } from "../../src/mount/mount-point.ts";
import { readMountTable } from "../../src/mount/mount-table.ts";
import {
  type HeldFolder,
  openChild,
  openFolder,
  openFolderBelow,
} from "../../src/mount/open-folder.ts";
import { mountByMoving } from "../../src/mount/private-mount.ts";
import { mountReadOnly } from "../../src/mount/read-only-mount.ts";
import {
  attachMount,
  cloneMount,
  type OpenFolder,
  unmountFlags,
  unmountPath,
} from "../../src/mount/system-calls.ts";
import { openDescriptors } from "../support/descriptors.ts";
import { mountSmallDisk, mountsMissing, run } from "../support/disk-mounts.ts";

type Mounting = (tree: OpenFolder, target: OpenFolder, scratch: string) => void;
const ways: readonly (readonly [string, Mounting])[] = [
  ["new calls", (tree, target, scratch) => mountReadOnly(tree, target, { scratch })],
  ["calls that every kernel has", mountByMoving],
];

describe.skipIf(mountsMissing()).each(ways)("a tree mounted with %s", (_, mountTree) => {
  test("shows its files, cannot be written, and leaves no other mount behind", async () => {
    await using place = await openPlace();
    mountTree(place.tree, place.target, place.scratch);
    expect(await readFile(join(place.target.path, "file"), "utf8")).toBe("text");
    const writing = writeFile(join(place.target.path, "file"), "");
    await expect(writing).rejects.toMatchObject({ code: "EROFS" });
    const mounts = await place.mounts();
    expect(mounts.map(({ mountPoint }) => mountPoint)).toEqual([place.target.path]);
    expect(mounts[0]?.options).toEqual(expect.arrayContaining(["ro", "nosuid", "nodev", "noexec"]));
    expect(await readdir(place.scratch).catch(() => [])).toEqual([]);
    // The tree itself is as writable as it was.
    await writeFile(join(place.tree.path, "file"), "more");
    expect(await readFile(join(place.target.path, "file"), "utf8")).toBe("more");
  });

  test("cannot be written at any moment", async () => {
    await using place = await openPlace();
    const path = join(place.target.path, "intruder");
    // Not `:`, at whose first failure a shell ends.
    const writing = ["-c", `while :; do true >"$0"; done`, path];
    const writer = spawn("sh", writing, { stdio: "ignore" });
    const ended = once(writer, "close");
    try {
      for (let round = 0; round < 200; round++) {
        mountTree(place.tree, place.target, place.scratch);
        await lookAt(place.root, "target");
        expect(await unmountAll(place.root, "target")).toBe(1);
      }
    } finally {
      writer.kill("SIGKILL");
      await ended;
    }
    expect(writer.signalCode).toBe("SIGKILL");
    expect(await readdir(place.tree.path)).toEqual(["file"]);
    // It wrote where it could.
    expect(await readdir(place.target.path)).toEqual(["intruder"]);
  });

  test("is seen in other namespaces where the target's folder is shared, and goes there too", async () => {
    await using place = await openPlace();
    run("mount", "--make-rshared", place.root.path);
    const other = spawn("unshare", ["--mount", "--propagation", "unchanged", "sleep", "600"]);
    await once(other, "spawn");
    const table = `/proc/${other.pid}/mountinfo`;
    try {
      // It has a namespace of its own a moment after it began.
      const own = await readlink("/proc/self/ns/mnt");
      while ((await readlink(`/proc/${other.pid}/ns/mnt`)) === own) await new Promise(setImmediate);
      mountTree(place.tree, place.target, place.scratch);
      expect(await readFile(table, "utf8")).toContain(` ${place.target.path} ro,`);
      expect(await unmountAll(place.root, "target")).toBe(1);
      expect(await readFile(table, "utf8")).not.toContain(` ${place.target.path} `);
    } finally {
      other.kill("SIGKILL");
      await once(other, "close");
    }
  });

  test("is attached to the open folder, whatever its name leads to by then", async () => {
    await using place = await openPlace();
    await rename(place.target.path, `${place.target.path}-moved`);
    await symlink("/etc", place.target.path);
    mountTree(place.tree, place.target, place.scratch);
    const [mount] = await place.mounts();
    expect(mount?.mountPoint).toBe(`${place.target.path}-moved`);
  });

  test("leaves nothing behind when it cannot be mounted", async () => {
    await using place = await openPlace();
    await using file = await openChild(place.root, "target");
    const before = openDescriptors();
    const closed = { fd: 1_000_000, path: "/nowhere" };
    expect(() => mountTree(closed, place.target, place.scratch)).toThrow(/MOUNT_FAILED|failed at/);
    expect(() => mountTree(place.tree, closed, place.scratch)).toThrow(/failed at/);
    expect(await place.mounts()).toEqual([]);
    expect(await readdir(place.scratch).catch(() => [])).toEqual([]);
    expect(openDescriptors()).toEqual(before);
    expect(file).toBeDefined();
  });
});

describe.skipIf(mountsMissing())("mounts", () => {
  test("of one filesystem over each other are told apart, counted and taken away", async () => {
    await using place = await openPlace();
    const before = await lookAt(place.root, "target");
    expect(before).toMatchObject({ mounted: false });
    expect(await lookAt(place.root, "missing")).toBeUndefined();
    for (let count = 0; count < 3; count++)
      run("mount", "--bind", place.tree.path, place.target.path);
    const after = await lookAt(place.root, "target");
    expect(after).toMatchObject({ mounted: true });
    expect(after?.identity).not.toBe(before?.identity);
    const ids = (await readMountTable()).map(({ id }) => id);
    expect(ids).toContain(after?.mountId);
    expect(await unmountAll(place.root, "target")).toBe(3);
    expect(await unmountAll(place.root, "target")).toBe(0);
    expect(await unmountAll(place.root, "missing")).toBe(0);
  });

  test("are found by paths with odd names", async () => {
    await using place = await openPlace();
    const odd = join(place.root.path, "a b\tc\\d\ne#f");
    await mkdir(odd);
    run("mount", "--bind", place.tree.path, odd);
    expect((await place.mounts()).map(({ mountPoint }) => mountPoint)).toEqual([odd]);
    unmountPath(odd, unmountFlags.detach, odd);
  });

  test("that fail name the call, the place and the reason", async () => {
    await using place = await openPlace();
    expect(() => cloneMount({ fd: 1_000_000, path: "/tree" })).toThrow(
      "open_tree failed at /tree: EBADF",
    );
    expect(() => attachMount(1_000_000, place.target)).toThrow(
      `move_mount failed at ${place.target.path}: EBADF`,
    );
    expect(() => unmountPath(place.target.path, 0, "/target")).toThrow(
      "umount2 failed at /target: EINVAL",
    );
  });

  test("are refused to a process without the right to mount, with a hint", () => {
    const module = join(import.meta.dirname, "../../src/mount/system-calls.ts");
    const script = `import { cloneMount } from ${JSON.stringify(module)};
      try { cloneMount({ fd: 0, path: "/x" }) } catch (e) { console.log(e.code, e.message, e.hint) }`;
    const drop = ["--bounding-set=-all", "--inh-caps=-all"];
    const program = [process.execPath, "--input-type=module", "--eval", script];
    expect(run("setpriv", ...drop, ...program).trim()).toBe(
      "MOUNT_FAILED open_tree failed at /x: EPERM mounting takes CAP_SYS_ADMIN",
    );
  });
});

describe.skipIf(mountsMissing())("a folder opened below another", () => {
  test("is reached through no link, and through no file", async () => {
    await using place = await openPlace();
    const { path } = place.root;
    await mkdir(join(path, "a/b/c"), { recursive: true });
    await symlink("b", join(path, "a/link"));
    await symlink("/", join(path, "a/b/out"));
    await using found = await openFolderBelow(path, join(path, "a/b/c"));
    expect(found?.path).toBe(join(path, "a/b/c"));
    await using same = await openFolderBelow(path, path);
    expect(same?.path).toBe(path);
    const before = openDescriptors();
    expect(await openFolderBelow(path, join(path, "a/none/c"))).toBeUndefined();
    for (const wrong of [
      "a/link",
      "a/link/c",
      "a/b/out",
      "a/b/out/etc",
      "tree/file",
      "tree/file/x",
    ])
      await expect(openFolderBelow(path, join(path, wrong))).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
      });
    for (const outside of ["/etc", `${path}/../x`, `${path}-2`, `${path}/a//b`, `${path}/a/`])
      await expect(openFolderBelow(path, outside)).rejects.toThrow("is not below");
    expect(openDescriptors()).toEqual(before);
  });
});

interface Place extends AsyncDisposable {
  readonly root: HeldFolder;
  readonly tree: HeldFolder;
  readonly target: HeldFolder;
  readonly scratch: string;
  mounts(): ReturnType<typeof readMountTable>;
}

/** A disk of its own with a tree, a target and a scratch folder. */
async function openPlace(): Promise<Place> {
  await using owned = new AsyncDisposableStack();
  const { path } = owned.use(await mountSmallDisk({ bytes: 1_048_576 }));
  owned.defer(() => {
    for (const { mountPoint } of below().reverse())
      unmountPath(mountPoint, unmountFlags.detach, mountPoint);
  });
  await mkdir(join(path, "tree"));
  await mkdir(join(path, "target"));
  await writeFile(join(path, "tree/file"), "text");
  let table: Awaited<ReturnType<typeof readMountTable>> = [];
  const below = () => table.filter(({ mountPoint }) => mountPoint.startsWith(`${path}/`));
  const mounts = async () => {
    table = await readMountTable();
    return below();
  };
  const held = async (name: string) => {
    const folder = await openFolder(join(path, name));
    if (folder === undefined) throw new Error(`no folder ${name}`);
    return owned.use(folder);
  };
  const root = await openFolder(path);
  if (root === undefined) throw new Error("no root");
  owned.use(root);
  const [tree, target] = [await held("tree"), await held("target")];
  const scratch = join(path, "scratch");
  const kept = owned.move();
  const close = async () => {
    await mounts();
    await kept.disposeAsync();
  };
  onTestFinished(close);
  return { root, tree, target, scratch, mounts, [Symbol.asyncDispose]: close };
}
