import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openLayout } from "../../src/oci/layout/open-layout.ts";
import { referrersTag } from "../../src/oci/referrers-tag.ts";
import { errorCode, openRawRegistry, type RawRegistry } from "./raw-registry.ts";
import {
  algorithms,
  type Content,
  contentOf,
  expectBlob,
  expectManifest,
  manifestOf,
  pushImage,
  putBlob,
  putManifest,
  statusOf,
} from "./registry-content.ts";

let registry: RawRegistry;

beforeAll(async () => {
  registry = await openRawRegistry();
});
afterAll(async () => registry[Symbol.asyncDispose]());

const remove = (repository: string, kind: "blobs" | "manifests", reference: string) =>
  registry.send("DELETE", `/v2/${repository}/${kind}/${reference}`);

describe.each(algorithms)("with %s, a delete", (algorithm) => {
  test("of a blob takes it away at once, and the next one says that it is gone", async () => {
    const blob = contentOf("to go", undefined, algorithm);
    await putBlob(registry, "blobs", blob);
    expect((await remove("blobs", "blobs", blob.digest)).status).toBe(202);
    expect(await statusOf(registry, `/v2/blobs/blobs/${blob.digest}`)).toBe(404);
    const again = await remove("blobs", "blobs", blob.digest);
    expect([again.status, errorCode(again)]).toEqual([404, "BLOB_UNKNOWN"]);
    await putBlob(registry, "blobs", blob);
    await expectBlob(registry, "blobs", blob);
  });

  test("of all of an image, from the top, leaves nothing", async () => {
    const repository = `all/${algorithm}`;
    const { manifest, blobs } = await pushImage(registry, repository, { name: "one", algorithm });
    const index = manifestOf({ manifests: [manifest.descriptor] }, algorithm);
    await putManifest(registry, repository, index, `${index.digest}?tag=v1`);
    expect((await remove(repository, "manifests", "v1")).status).toBe(202);
    expect(await statusOf(registry, `/v2/${repository}/manifests/v1`)).toBe(404);
    await expectManifest(registry, repository, index);
    for (const { digest } of [index, manifest]) {
      expect((await remove(repository, "manifests", digest)).status).toBe(202);
      expect(await statusOf(registry, `/v2/${repository}/manifests/${digest}`)).toBe(404);
    }
    for (const { digest } of blobs) {
      expect((await remove(repository, "blobs", digest)).status).toBe(202);
      expect(await statusOf(registry, `/v2/${repository}/blobs/${digest}`)).toBe(404);
    }
    const folder = join(registry.root, repository.replace("/", "+"), "blobs", algorithm);
    expect(await readdir(folder)).toEqual([]);
  });

  test("of what something else needs is refused, and says what needs it", async () => {
    const repository = `needed/${algorithm}`;
    const { manifest, blobs } = await pushImage(registry, repository, { name: "kept", algorithm });
    const index = manifestOf({ manifests: [manifest.descriptor] }, algorithm);
    await putManifest(registry, repository, index, index.digest);
    for (const [kind, { digest }, holder] of [
      ["manifests", manifest, index],
      ["blobs", blobs[0], manifest],
      ["blobs", blobs[1], manifest],
    ] as ["blobs" | "manifests", Content, Content][]) {
      const refused = await remove(repository, kind, digest);
      expect([refused.status, errorCode(refused)]).toEqual([405, "UNSUPPORTED"]);
      expect(refused.headers["allow"]).toBe("GET, HEAD");
      expect(refused.body.toString()).toContain(holder.digest);
      expect(await statusOf(registry, `/v2/${repository}/${kind}/${digest}`)).toBe(200);
    }
    const asBlob = await remove(repository, "blobs", index.digest);
    expect([asBlob.status, errorCode(asBlob)]).toEqual([405, "UNSUPPORTED"]);
    await expectManifest(registry, repository, index);
  });
});

test("a delete of a referrer that a list of referrers names is done; of one in an index of others it is not", async () => {
  const repository = "lists";
  const { manifest: subject } = await pushImage(registry, repository, { name: "subject" });
  const fields = { subject: subject.descriptor };
  const { manifest } = await pushImage(registry, repository, { name: "signature", fields });
  const list = manifestOf({ manifests: [manifest.descriptor] });
  await putManifest(registry, repository, list, referrersTag(subject.digest));
  const mixed = manifestOf({ manifests: [manifest.descriptor, subject.descriptor] });
  await putManifest(registry, repository, mixed, "mixed");
  expect((await remove(repository, "manifests", manifest.digest)).status).toBe(405);
  expect((await remove(repository, "manifests", mixed.digest)).status).toBe(202);
  expect((await remove(repository, "manifests", manifest.digest)).status).toBe(202);
  await expectManifest(registry, repository, list);
});

test("a delete of a manifest that only an index of another tool names is refused as well", async () => {
  const repository = "foreign";
  const { manifest, blobs } = await pushImage(registry, repository, { name: "child" });
  const index = manifestOf({ manifests: [manifest.descriptor] });
  await putManifest(registry, repository, index, "multi");
  const layout = await openLayout(join(registry.root, repository));
  await layout.indexFile.update((all) => ({
    ...all,
    entries: all.entries.filter(({ descriptor }) => descriptor?.digest !== manifest.digest),
  }));
  expect((await remove(repository, "manifests", manifest.digest)).status).toBe(405);
  for (const { digest } of blobs)
    expect((await remove(repository, "blobs", digest)).status).toBe(405);
  await expectManifest(registry, repository, manifest);
});

test("a delete of what an index names and nobody has is 404", async () => {
  const repository = "holes";
  const { manifest } = await pushImage(registry, repository, { name: "hole" });
  const index = manifestOf({ manifests: [manifest.descriptor] });
  await putManifest(registry, repository, index, "multi");
  const layout = await openLayout(join(registry.root, repository));
  await layout.blobs.remove(manifest.digest);
  await layout.indexFile.update((all) => ({
    ...all,
    entries: all.entries.filter(({ descriptor }) => descriptor?.digest !== manifest.digest),
  }));
  for (const kind of ["manifests", "blobs"] as const)
    expect((await remove(repository, kind, manifest.digest)).status).toBe(404);
});

test("a delete takes a manifest away that nothing lists, such as one of a killed push", async () => {
  await registry.pushManifest("orphans", "v1");
  const orphan = manifestOf({ manifests: [], annotations: { left: "alone" } });
  await putBlob(registry, "orphans", orphan);
  expect(await statusOf(registry, `/v2/orphans/manifests/${orphan.digest}`)).toBe(200);
  expect((await remove("orphans", "manifests", orphan.digest)).status).toBe(202);
  expect(await statusOf(registry, `/v2/orphans/manifests/${orphan.digest}`)).toBe(404);
});

test("a deleted subject leaves its referrers, and their list", async () => {
  const { manifest: subject } = await pushImage(registry, "subjects", { name: "subject" });
  const fields = { subject: subject.descriptor };
  const { manifest } = await pushImage(registry, "subjects", { name: "note", fields });
  expect((await remove("subjects", "manifests", subject.digest)).status).toBe(202);
  await expectManifest(registry, "subjects", manifest);
  const { body } = await registry.send("GET", `/v2/subjects/referrers/${subject.digest}`);
  expect(JSON.parse(body.toString())).toMatchObject({ manifests: [{ digest: manifest.digest }] });
});

test("a delete under a pull lets the reader finish, byte for byte", async () => {
  const blob = contentOf(Buffer.alloc(48 * 1_048_576, "content"));
  await putBlob(registry, "pulled", blob);
  const socket = connect(Number(new URL(registry.server.url).port), "127.0.0.1");
  socket.write(
    `GET /v2/pulled/blobs/${blob.digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
  );
  // The reader holds still in the middle of the body: its socket is full.
  await once(socket, "readable");
  expect((await remove("pulled", "blobs", blob.digest)).status).toBe(202);
  expect(await statusOf(registry, `/v2/pulled/blobs/${blob.digest}`)).toBe(404);
  const answer = await readAll(socket);
  const body = answer.subarray(answer.indexOf("\r\n\r\n") + 4);
  expect(body.equals(blob.bytes)).toBe(true);
});

test("a blob that goes while a push of its manifest waits is missed, not served broken", async () => {
  const repository = "races";
  const { manifest, blobs } = await pushImage(registry, repository, { name: "race" });
  await remove(repository, "manifests", manifest.digest);
  const digest = blobs[1]?.digest ?? manifest.digest;
  const [removed, put] = await Promise.all([
    remove(repository, "blobs", digest),
    putManifest(registry, repository, manifest),
  ]);
  // Whoever came first: never both, and never a manifest without its blob.
  expect([
    [202, 404],
    [405, 201],
  ]).toContainEqual([removed.status, put.status]);
  const status = await statusOf(registry, `/v2/${repository}/blobs/${digest}`);
  expect(status).toBe(put.status === 201 ? 200 : 404);
});

describe("a mount", () => {
  const mount = (to: string, digest: string, from?: string) =>
    registry.send(
      "POST",
      `/v2/${to}/blobs/uploads/?mount=${digest}${from === undefined ? "" : `&from=${from}`}`,
    );

  test.each(algorithms)("links a %s blob of another repository", async (algorithm) => {
    const blob = contentOf("shared", undefined, algorithm);
    await putBlob(registry, "source/one", blob);
    const { status, headers } = await mount(`target/${algorithm}`, blob.digest, "source/one");
    expect([status, headers["docker-content-digest"]]).toEqual([201, blob.digest]);
    expect(headers.location).toBe(`/v2/target/${algorithm}/blobs/${blob.digest}`);
    await expectBlob(registry, `target/${algorithm}`, blob);
    expect((await remove("source/one", "blobs", blob.digest)).status).toBe(202);
    await expectBlob(registry, `target/${algorithm}`, blob);
  });

  test.each(algorithms)("without a source finds a %s blob where it is", async (algorithm) => {
    const blob = contentOf("somewhere", undefined, algorithm);
    await putBlob(registry, `anywhere/${algorithm}`, blob);
    expect((await mount(`found/${algorithm}`, blob.digest)).status).toBe(201);
    await expectBlob(registry, `found/${algorithm}`, blob);
  });

  test.each<[string, string | undefined]>([
    ["that no repository has", undefined],
    ["that the source has not", "source/one"],
    ["of a source that is not there", "source/none"],
    ["of a source that is no name", "..%2f..%2fetc"],
  ])("of a blob %s opens an upload, which takes it", async (what, from) => {
    const blob = contentOf(what);
    const { status, headers } = await mount("mounted", blob.digest, from);
    expect(status).toBe(202);
    const path = `${String(headers.location)}?digest=${blob.digest}`;
    expect((await registry.send("PUT", path, { body: blob.bytes })).status).toBe(201);
    await expectBlob(registry, "mounted", blob);
  });
});

async function readAll(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of socket) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}
