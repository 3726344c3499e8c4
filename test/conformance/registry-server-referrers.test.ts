import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { forEachConcurrently } from "../../src/core/concurrently.ts";
import { digestHex, digestOf } from "../../src/core/digest.ts";
import { openLayout } from "../../src/oci/layout/open-layout.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { openRawRegistry, type RawRegistry } from "./raw-registry.ts";
import { type Content, contentOf, manifestOf, putBlob, putManifest } from "./registry-content.ts";

const empty = contentOf("{}", mediaTypes.emptyConfig);
const subject = contentOf("a subject", mediaTypes.imageManifest);
const [signature, bill] = ["application/vnd.example.signature", "application/vnd.example.bill"];
let registry: RawRegistry;

beforeAll(async () => {
  registry = await openRawRegistry();
});
afterAll(async () => registry[Symbol.asyncDispose]());

interface Page {
  readonly manifests: readonly {
    readonly digest: string;
    readonly artifactType?: string;
    readonly annotations?: Record<string, string>;
  }[];
  readonly next: string | undefined;
  readonly filters: unknown;
  readonly bytes: number;
}

async function readPage(path: string): Promise<Page> {
  const { status, headers, body } = await registry.send("GET", path);
  expect([status, headers["content-type"]]).toEqual([200, mediaTypes.imageIndex]);
  const document = JSON.parse(body.toString()) as Page & { mediaType: string };
  expect(document).toMatchObject({ schemaVersion: 2, mediaType: mediaTypes.imageIndex });
  const next = /^<([^>]+)>; rel="next"$/.exec(String(headers["link"]))?.[1];
  const filters = headers["oci-filters-applied"];
  return { manifests: document.manifests, next, filters, bytes: body.byteLength };
}

async function readPages(path: string, between?: (page: Page) => Promise<void>): Promise<Page[]> {
  const pages: Page[] = [];
  for (let at: string | undefined = path; at !== undefined; at = pages.at(-1)?.next) {
    const page = await readPage(at);
    pages.push(page);
    await between?.(page);
  }
  return pages;
}

const digestsOf = (pages: readonly Page[]) =>
  pages.flatMap(({ manifests }) => manifests.map(({ digest }) => digest));

function referrer(name: string, fields: Record<string, unknown> = {}): Content {
  return manifestOf({
    artifactType: signature,
    config: empty.descriptor,
    layers: [],
    subject: subject.descriptor,
    annotations: { "org.example.name": name },
    ...fields,
  });
}

/** Writes a repository as another tool would: files and an index.json, no word to the server. */
async function writeRepository(name: string, manifests: readonly Content[]): Promise<void> {
  const folder = join(registry.root, name);
  const blobs = join(folder, "blobs", "sha256");
  await mkdir(blobs, { recursive: true });
  await forEachConcurrently([empty, ...manifests], 16, ({ digest, bytes }) =>
    writeFile(join(blobs, digestHex(digest)), bytes),
  );
  const entries = manifests.map(({ descriptor }) => descriptor);
  await writeFile(
    join(folder, "index.json"),
    JSON.stringify({ schemaVersion: 2, manifests: entries }),
  );
  await writeFile(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
}

describe("a list of 10,000 referrers", () => {
  const repository = "many";
  const path = `/v2/${repository}/referrers/${subject.digest}`;
  const all = Array.from({ length: 10_000 }, (_, at) =>
    referrer(`number ${at}`, { artifactType: at % 4 === 0 ? bill : signature }),
  );
  beforeAll(async () => writeRepository(repository, all));

  test("comes in pages, each referrer once, with its type and annotations", async () => {
    const pages = await readPages(path);
    expect(pages.map(({ manifests }) => manifests.length)).toEqual(Array(10).fill(1000));
    expect(new Set(digestsOf(pages))).toEqual(new Set(all.map(({ digest }) => digest)));
    const last = pages[9]?.manifests[999];
    const at = all.findIndex(({ digest }) => digest === last?.digest);
    expect(last).toEqual({
      ...all[at]?.descriptor,
      artifactType: at % 4 === 0 ? bill : signature,
      annotations: { "org.example.name": `number ${at}` },
    });
    expect(pages.every(({ filters }) => filters === undefined)).toBe(true);
  });

  test("is filtered over all pages, and each says so", async () => {
    const pages = await readPages(`${path}?artifactType=${bill}`);
    expect(pages.map(({ manifests }) => manifests.length)).toEqual([1000, 1000, 500]);
    for (const { manifests, filters } of pages) {
      expect(filters).toBe("artifactType");
      expect(manifests.every(({ artifactType }) => artifactType === bill)).toBe(true);
    }
    const none = await readPages(`${path}?artifactType=text/plain`);
    expect([digestsOf(none), none[0]?.filters]).toEqual([[], "artifactType"]);
  });

  test("that changes while it is read shows nothing twice, and what stays once", async () => {
    const seen: string[] = [];
    const added = referrer("added meanwhile");
    const pages = await readPages(path, async ({ manifests }) => {
      const last = manifests.at(-1)?.digest;
      seen.push(...manifests.map(({ digest }) => digest));
      await registry.send("DELETE", `/v2/${repository}/manifests/${last}`);
      await putManifest(registry, repository, added);
    });
    expect(new Set(seen).size).toBe(seen.length);
    const gone = new Set(pages.map(({ manifests }) => manifests.at(-1)?.digest as string));
    const [before, after] = [new Set(seen), digestsOf(await readPages(path))];
    for (const { digest } of all) expect(before.has(digest)).toBe(true);
    expect(after).toContain(added.digest);
    expect(after.some((digest) => gone.has(digest))).toBe(false);
  });
});

test("a page is no larger than 4 MiB, whatever annotations there are", async () => {
  const annotations = { "org.example.large": "x".repeat(300_000) };
  const large = Array.from({ length: 40 }, (_, at) =>
    referrer(String(at), { annotations: { ...annotations, at: String(at) } }),
  );
  await writeRepository("large", large);
  const pages = await readPages(`/v2/large/referrers/${subject.digest}`);
  expect(pages.length).toBeGreaterThan(2);
  for (const { bytes } of pages) expect(bytes).toBeLessThanOrEqual(4_194_304);
  expect(new Set(digestsOf(pages)).size).toBe(40);
});

test("a referrer of an index without a type has none", async () => {
  const index = manifestOf({ manifests: [], subject: subject.descriptor });
  await putManifest(registry, "indexes", index);
  const { manifests } = await readPage(`/v2/indexes/referrers/${subject.digest}`);
  expect(manifests).toEqual([index.descriptor]);
});

test("an empty filter is none", async () => {
  await writeRepository("unfiltered", [referrer("one")]);
  const page = await readPage(`/v2/unfiltered/referrers/${subject.digest}?artifactType=`);
  expect([page.manifests.length, page.filters]).toEqual([1, undefined]);
});

test("what another process adds and removes is in the list at once", async () => {
  await writeRepository("shared", [referrer("first")]);
  const path = `/v2/shared/referrers/${subject.digest}`;
  expect((await readPage(path)).manifests).toHaveLength(1);
  const other = await openLayout(join(registry.root, "shared"));
  const { bytes, digest, descriptor } = referrer("second");
  for (let round = 0; round < 20; round += 1) {
    await other.putManifest(digest, { mediaType: descriptor.mediaType, bytes });
    expect(digestsOf([await readPage(path)])).toContain(digest);
    expect(await other.deleteManifest(digest)).toBe(true);
    expect(digestsOf([await readPage(path)])).not.toContain(digest);
  }
});

test("a referrer whose file is missing is left out until it is pushed again", async () => {
  const [there, lost] = [referrer("there"), referrer("lost")];
  await writeRepository("damaged", [there, lost]);
  const file = join(registry.root, "damaged", "blobs", "sha256", digestHex(lost.digest));
  await rm(file);
  const path = `/v2/damaged/referrers/${subject.digest}`;
  expect(digestsOf([await readPage(path)])).toEqual([there.digest]);
  await putBlob(registry, "damaged", empty);
  expect((await putManifest(registry, "damaged", lost)).status).toBe(201);
  expect(digestsOf([await readPage(path)]).toSorted()).toEqual(
    [there.digest, lost.digest].toSorted(),
  );
});

test("a layout folder lists the same as the server", async () => {
  await writeRepository("folder", [referrer("a"), referrer("b", { artifactType: bill })]);
  const { manifests } = await readPage(`/v2/folder/referrers/${subject.digest}`);
  const layout = await openLayout(join(registry.root, "folder"));
  expect(await layout.listReferrers(subject.digest)).toEqual(manifests);
  const bills = await layout.listReferrers(subject.digest, { artifactType: bill });
  expect(bills).toEqual(manifests.filter(({ artifactType }) => artifactType === bill));
  expect(await layout.listReferrers(digestOf("nobody"))).toEqual([]);
});
