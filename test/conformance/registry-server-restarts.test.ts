import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, rm, stat, symlink, truncate, utimes } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { startRegistry } from "../../src/registry/server/server.ts";
import { type RegistryProcess, startRegistryProcess } from "../support/registry-process.ts";
import { RawRegistry } from "./raw-registry.ts";

const bytes = randomBytes(3_000_000);
const digest = digestOf(bytes);
const repository = "team/model";
let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "registry-restarted-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe("a server that is killed in the middle of an upload", () => {
  test.each(["PATCH", "PUT"])(
    "in a %s, says after its restart how much it has, and takes the rest",
    async (method) => {
      await using child = await startRegistryProcess(root);
      const before = beside(child);
      const location = await before.openUpload(repository);
      await before.send("PATCH", location, { body: bytes.subarray(0, 1_000_000) });
      const socket = connect(Number(child.address.split(":")[1]), "127.0.0.1");
      socket.on("error", () => undefined);
      socket.write(`${method} ${location}?digest=${digest} HTTP/1.1\r\nHost: x\r\n`);
      socket.write("Content-Length: 2000000\r\n\r\n");
      socket.write(bytes.subarray(1_000_000, 1_700_000));
      await expect.poll(() => arrived(before, location)).toBe(1_700_000);
      await child.kill();
      socket.destroy();

      await using after = new RawRegistry(root, await startRegistry({ root }));
      expect(await arrived(after, location)).toBe(1_700_000);
      const again = await after.send("PATCH", location, {
        headers: { "content-range": "1000000-2999999" },
        body: bytes.subarray(1_000_000),
      });
      expect([again.status, again.headers.range]).toEqual([416, "0-1699999"]);
      const next = await after.send("PATCH", location, {
        headers: { "content-range": "1700000-1999999" },
        body: bytes.subarray(1_700_000, 2_000_000),
      });
      expect([next.status, next.headers.range]).toEqual([202, "0-1999999"]);
      const last = await after.send("PUT", `${location}?digest=${digest}`, {
        body: bytes.subarray(2_000_000),
      });
      expect(last.status).toBe(201);
      const { body } = await after.send("GET", `/v2/${repository}/blobs/${digest}`);
      expect(body.equals(bytes)).toBe(true);
    },
  );

  test("keeps an upload of which no byte came, and its limit counts what was left", async () => {
    await using child = await startRegistryProcess(root);
    const location = await beside(child).openUpload(repository);
    await child.kill();
    const limits = { maxUploads: 1 };
    await using after = new RawRegistry(root, await startRegistry({ root, limits }));
    expect((await after.send("POST", `/v2/${repository}/blobs/uploads/`)).status).toBe(429);
    const elsewhere = location.replace("team/model", "team/other");
    expect((await after.send("GET", elsewhere)).status).toBe(404);
    expect((await after.send("DELETE", location)).status).toBe(204);
    expect((await after.send("GET", location)).status).toBe(404);
    expect(await after.unfinished(repository)).toEqual([]);
  });

  test("lets what rested longest make room for a new upload when its limit is reached", async () => {
    await using child = await startRegistryProcess(root);
    const given = [
      await beside(child).openUpload(repository),
      await beside(child).openUpload(repository),
    ];
    await child.kill();
    const [older, newer] = given.map((location) => uploadFile(location));
    await utimes(older ?? "", ...minutesAgo(60));
    await utimes(newer ?? "", ...minutesAgo(30));
    const limits = { maxUploads: 2 };
    await using after = new RawRegistry(root, await startRegistry({ root, limits }));
    const start = async () => (await after.send("POST", `/v2/${repository}/blobs/uploads/`)).status;
    expect(await start()).toBe(202);
    expect(
      await Promise.all(given.map(async (at) => (await after.send("GET", at)).status)),
    ).toEqual([404, 204]);
    // The other was just asked for.
    expect(await start()).toBe(429);
    expect(await after.unfinished(repository)).toHaveLength(2);
  });

  test("stops after its grace while it reads a large one that is left", async () => {
    await using child = await startRegistryProcess(root);
    const location = await beside(child).openUpload(repository);
    await child.kill();
    // Holes: reading them takes minutes.
    await truncate(uploadFile(location), 2 ** 38);
    const limits = { closeGraceMs: 50 };
    await using server = await startRegistry({ root, limits });
    const after = new RawRegistry(root, server);
    const patch = after.send("PATCH", location, { body: bytes }).catch(() => undefined);
    await expect.poll(async () => (await after.send("GET", location)).status).toBe(204);
    await server.close();
    await patch;
    expect((await stat(uploadFile(location))).size).toBe(2 ** 38);
  });

  test("refuses what is left when its bytes are not those of the digest", async () => {
    await using child = await startRegistryProcess(root);
    const location = await beside(child).openUpload(repository);
    await beside(child).send("PATCH", location, { body: bytes.subarray(1) });
    await child.kill();
    await using after = new RawRegistry(root, await startRegistry({ root }));
    const last = await after.send("PUT", `${location}?digest=${digest}`);
    expect(last.status).toBe(400);
    expect((await after.send("HEAD", `/v2/${repository}/blobs/${digest}`)).status).toBe(404);
    expect(await after.unfinished(repository)).toEqual([]);
  });

  test("removes what rested for a day, and the blob that was sent in one POST", async () => {
    await using child = await startRegistryProcess(root);
    const before = beside(child);
    const [old, young] = [await before.openUpload(repository), await before.openUpload(repository)];
    const { pathname } = new URL(`http://x/v2/${repository}/blobs/uploads/`);
    const socket = connect(Number(child.address.split(":")[1]), "127.0.0.1");
    socket.on("error", () => undefined);
    socket.write(`POST ${pathname}?digest=${digest} HTTP/1.1\r\nHost: x\r\n`);
    socket.write("Content-Length: 3000000\r\n\r\n");
    socket.write(bytes.subarray(0, 1_000_000));
    await expect.poll(() => before.unfinished(repository)).toHaveLength(3);
    await child.kill();
    socket.destroy();
    const yesterday = Date.now() / 1000 - 25 * 3600;
    await utimes(uploadFile(old), yesterday, yesterday);
    await using after = new RawRegistry(root, await startRegistry({ root }));
    expect(await after.unfinished(repository)).toEqual([young.split("/").at(-1)]);
    expect((await after.send("GET", old)).status).toBe(404);
  });

  test("keeps what it acknowledged, and nothing else", async () => {
    await using child = await startRegistryProcess(root);
    const before = beside(child);
    await before.pushBlob(repository, bytes);
    const { digest: manifest } = await before.pushManifest(repository, "v1");
    await child.kill();
    await using after = new RawRegistry(root, await startRegistry({ root }));
    const blob = await after.send("GET", `/v2/${repository}/blobs/${digest}`);
    expect(blob.body.equals(bytes)).toBe(true);
    const { headers } = await after.send("HEAD", `/v2/${repository}/manifests/v1`);
    expect(headers["docker-content-digest"]).toBe(manifest);
    const names = await readdir(join(root, "team+model"));
    expect(names.toSorted()).toEqual(["blobs", "index.json", "oci-layout"]);
  });
});

describe("two servers of one folder", () => {
  test("the second is refused by name of the first, which goes on", async () => {
    await using first = await startRegistryProcess(root);
    await expect(startRegistry({ root })).rejects.toMatchObject({
      code: "STORE_LOCKED",
      message: `${root} is served by process ${first.pid} of this host`,
    });
    await beside(first).pushBlob(repository, bytes);
    expect((await beside(first).send("HEAD", `/v2/${repository}/blobs/${digest}`)).status).toBe(
      200,
    );
  });

  test("the lock of one that was killed or stopped counts for nothing", async () => {
    const first = await startRegistryProcess(root);
    await first.kill();
    expect((await readdir(root)).toSorted()).toEqual([".lock", ".reserve"]);
    const second = await startRegistry({ root });
    await second.close();
    expect(await readdir(root)).toEqual([]);
    await using _third = await startRegistry({ root });
  });

  test("the lock of one on another host is waited for, until the start is given up", async () => {
    await mkdir(root, { recursive: true });
    await symlink("0badcafe.0badcafe.1.1.1", join(root, ".lock"));
    const signal = AbortSignal.timeout(600);
    await expect(startRegistry({ root, signal })).rejects.toThrow("aborted");
    expect(await readdir(root)).toEqual([".lock"]);
  });
});

/** Requests to the server of another process. */
function beside({ address }: RegistryProcess): RawRegistry {
  const close = () => Promise.resolve();
  return new RawRegistry(root, {
    url: `http://${address}`,
    address,
    close,
    [Symbol.asyncDispose]: close,
  });
}

async function arrived(registry: RawRegistry, location: string): Promise<number> {
  const { headers } = await registry.send("GET", location);
  return Number(String(headers.range).split("-")[1]) + 1;
}

function uploads(): string {
  return join(root, "team+model", "uploads");
}

function uploadFile(location: string): string {
  return join(uploads(), location.split("/").at(-1) ?? "");
}

/** The two times of a file. */
function minutesAgo(minutes: number): [number, number] {
  const at = Date.now() / 1000 - minutes * 60;
  return [at, at];
}
