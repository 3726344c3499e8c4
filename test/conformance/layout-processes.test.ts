import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { withFileLock } from "../../src/core/file-lock.ts";
import { ownProcess } from "../../src/core/process-identity.ts";
import { openLayout } from "../../src/oci/layout/open-layout.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { prepareManifest } from "./repository-suite.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "layout-processes-"));
});
afterEach(async () => rm(folder, { recursive: true, force: true }));

describe("several processes at one layout", () => {
  const writer = `
    import { openLayout } from ${JSON.stringify(join(import.meta.dirname, "../../src/oci/layout/open-layout.ts"))};
    const [directory, name, source] = process.argv.slice(1);
    const layout = await openLayout(directory, { create: true });
    const { bytes } = await layout.fetchManifest(source);
    const mediaType = "application/vnd.oci.image.manifest.v1+json";
    for (let at = 0; at < 20; at += 1)
      await layout.putManifest(name + at, { mediaType, bytes });
  `;

  test("no tag that any of them put is lost", async () => {
    const layout = await openLayout(folder, { create: true });
    const bytes = await prepareManifest(layout, "shared");
    await layout.putManifest("source", { mediaType: mediaTypes.imageManifest, bytes });
    await Promise.all(
      ["a", "b", "c"].map((name) =>
        promisify(execFile)(process.execPath, [
          "--input-type=module",
          "-e",
          writer,
          folder,
          name,
          "source",
        ]),
      ),
    );
    expect(await layout.listTags()).toHaveLength(61);
  });

  test("the lock of a killed process is broken, and what it left is swept", async () => {
    await openLayout(folder, { create: true });
    const identity = await identityOfKilledProcess();
    await writeFile(join(folder, "index.json.lock"), identity);
    await writeFile(join(folder, "index.json.lock.break"), identity);
    await mkdir(join(folder, "uploads"), { recursive: true });
    await writeFile(join(folder, "uploads", `${identity}.0123456789abcdef`), "half a blob");
    await writeFile(join(folder, "uploads", `${ownProcess()}.0123456789abcdef`), "in use");
    const layout = await openLayout(folder, { create: true });
    const bytes = await prepareManifest(layout, "after");
    await layout.putManifest("v1", { mediaType: mediaTypes.imageManifest, bytes });
    expect((await readdir(folder)).toSorted()).toEqual([
      "blobs",
      "index.json",
      "oci-layout",
      "uploads",
    ]);
    expect(await readdir(join(folder, "uploads"))).toEqual([`${ownProcess()}.0123456789abcdef`]);
  });

  test("the lock of a living process is waited for, then STORE_LOCKED", async () => {
    const path = join(folder, "lock");
    await withFileLock(path, async () => {
      const second = withFileLock(path, () => Promise.resolve(), { waitMs: 20 });
      await expect(second).rejects.toMatchObject({ code: "STORE_LOCKED" });
    });
    await expect(withFileLock(path, () => Promise.resolve("free"))).resolves.toBe("free");
  });

  test("a lock whose holder cannot be asked is broken only when it is old", async () => {
    const path = join(folder, "lock");
    const held = () => withFileLock(path, () => Promise.resolve("free"), { waitMs: 20 });
    await writeFile(path, "00000000.00000000.1.1.1");
    await expect(held()).rejects.toMatchObject({ code: "STORE_LOCKED" });
    const past = new Date(Date.now() - 3_600_000);
    await utimes(path, past, past);
    await expect(held()).resolves.toBe("free");
  });

  test("of many that meet a dead lock, one at a time holds it", async () => {
    const path = join(folder, "lock");
    await writeFile(path, await identityOfKilledProcess());
    let holders = 0;
    let most = 0;
    const work = async () => {
      holders += 1;
      most = Math.max(most, holders);
      await readdir(folder);
      holders -= 1;
    };
    await Promise.all(Array.from({ length: 20 }, () => withFileLock(path, work)));
    expect(most).toBe(1);
    expect(await readdir(folder)).toEqual([]);
  });

  test("a wait for the lock ends when its signal aborts", async () => {
    const path = join(folder, "lock");
    const stop = new AbortController();
    await withFileLock(path, async () => {
      const waiting = withFileLock(path, () => Promise.resolve(), { signal: stop.signal });
      stop.abort(new Error("stopped"));
      await expect(waiting).rejects.toMatchObject({ message: "stopped" });
    });
  });
});

async function identityOfKilledProcess(): Promise<string> {
  const module = join(import.meta.dirname, "../../src/core/process-identity.ts");
  const script = `import { ownProcess } from ${JSON.stringify(module)};
    process.stdout.write(ownProcess()); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
  const [identity] = (await once(child.stdout, "data")) as [Buffer];
  child.kill("SIGKILL");
  await once(child, "exit");
  return identity.toString();
}
