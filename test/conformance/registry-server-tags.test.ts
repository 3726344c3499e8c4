import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { digestHex } from "../../src/core/digest.ts";
import { errorCode, openRawRegistry, type RawRegistry } from "./raw-registry.ts";
import { manifestOf } from "./registry-content.ts";

const repository = "ten/thousand";
const path = `/v2/${repository}/tags/list`;
const tags = Array.from({ length: 10_000 }, (_, at) => `v${at}`).toSorted();
let registry: RawRegistry;

beforeAll(async () => {
  registry = await openRawRegistry();
  const folder = join(registry.root, repository.replace("/", "+"));
  await mkdir(join(folder, "blobs", "sha256"), { recursive: true });
  const { bytes, digest, descriptor } = manifestOf({ manifests: [] });
  await writeFile(join(folder, "blobs", "sha256", digestHex(digest)), bytes);
  const manifests = tags.map((tag) => ({
    ...descriptor,
    annotations: { "org.opencontainers.image.ref.name": tag },
  }));
  await writeFile(join(folder, "index.json"), JSON.stringify({ schemaVersion: 2, manifests }));
  await writeFile(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
});
afterAll(async () => registry[Symbol.asyncDispose]());

async function list(query: string): Promise<{ tags: string[]; next: string | undefined }> {
  const { status, headers, body } = await registry.send("GET", query);
  expect([status, headers["content-type"]]).toEqual([200, "application/json"]);
  const document = JSON.parse(body.toString()) as { name: string; tags: string[] };
  expect(document.name).toBe(repository);
  const next = /^<([^>]+)>; rel="next"$/.exec(String(headers["link"]))?.[1];
  return { tags: document.tags, next };
}

test("10,000 tags come at once where nobody asks for pages", async () => {
  expect(await list(path)).toEqual({ tags, next: undefined });
});

test("pages of any size, followed by their links, are all tags in order", async () => {
  const seen: string[] = [];
  let next: string | undefined = `${path}?n=333`;
  for (let pages = 0; next !== undefined && pages < 100; pages += 1) {
    const page = await list(next);
    expect(page.tags.length).toBeLessThanOrEqual(333);
    seen.push(...page.tags);
    next = page.next;
  }
  expect(seen).toEqual(tags);
});

test("a page begins after `last`, whether that is a tag or not", async () => {
  const from = tags.indexOf("v5");
  expect((await list(`${path}?last=v5&n=3`)).tags).toEqual(tags.slice(from + 1, from + 4));
  expect((await list(`${path}?last=v4zzz&n=1`)).tags).toEqual(["v5"]);
  expect((await list(`${path}?last=%00`)).tags).toEqual(tags);
  expect((await list(`${path}?last=v9999`)).tags).toEqual([]);
});

test("a page of no tags has no link", async () => {
  expect(await list(`${path}?n=0`)).toEqual({ tags: [], next: undefined });
});

test.each(["-1", "1.5", "many", "", "1e3", "99999999999999999999", "0x10"])(
  "n=%s is refused",
  async (n) => {
    const refused = await registry.send("GET", `${path}?n=${n}`);
    expect([refused.status, errorCode(refused)]).toEqual([400, "UNSUPPORTED"]);
  },
);

test("a repository that has lost its last tag has an empty list", async () => {
  const { digest } = await registry.pushManifest("untagged", "v1");
  await registry.send("DELETE", "/v2/untagged/manifests/v1");
  const { status, body } = await registry.send("GET", "/v2/untagged/tags/list");
  expect([status, body.toString()]).toEqual([200, '{"name":"untagged","tags":[]}']);
  expect((await registry.send("GET", `/v2/untagged/manifests/${digest}`)).status).toBe(200);
});

test("HEAD of a list has its headers and no body", async () => {
  const { status, headers, body } = await registry.send("HEAD", `${path}?n=1`);
  expect([status, body.byteLength, headers["content-type"]]).toEqual([200, 0, "application/json"]);
});
