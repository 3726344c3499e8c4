import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { contentDigestOf, digestHex, digestOf } from "../../src/core/digest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import {
  openRegistryRepository,
  type RegistryRepository,
} from "../../src/registry/client/registry-repository.ts";
import { attach } from "../conformance/referrer-suite.ts";
import { errorBody, type FaultRegistry, startFaultRegistry } from "../support/registry-faults.ts";

const model = digestOf("a model");
const path = `/v2/team/model/referrers/${model}`;
const tag = `sha256-${digestHex(model)}`;
const json = { "content-type": mediaTypes.imageIndex };

let registry: FaultRegistry;
let repository: RegistryRepository;

beforeEach(async () => {
  registry = await startFaultRegistry();
  repository = await open();
});
afterEach(async () => {
  await repository[Symbol.asyncDispose]();
  await registry[Symbol.asyncDispose]();
});

const open = () =>
  openRegistryRepository({
    host: registry.host,
    repository: "team/model",
    retry: { attempts: 3, baseDelayMs: 1 },
    writes: true,
  });

const entry = (text: string, artifactType = "application/vnd.example.note") => ({
  mediaType: mediaTypes.imageManifest,
  digest: digestOf(text),
  size: 10,
  artifactType,
});
const index = (...manifests: unknown[]) =>
  JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.imageIndex, manifests });
const page = (manifests: unknown[], headers: Record<string, string> = {}) => ({
  on: /referrers/,
  headers: { ...json, ...headers },
  body: index(...manifests),
});
const digestsOf = (listed: readonly { readonly digest: string }[]) =>
  listed.map(({ digest }) => digest);
const putTag = (body: string, mediaType: string = mediaTypes.imageIndex) =>
  registry.manifests.set(tag, { mediaType, bytes: Buffer.from(body) });

describe("a list of referrers", () => {
  test("is read page by page, each entry once", async () => {
    registry.answers.push(
      page([entry("a"), entry("b")], { link: `<${path}?last=b>; rel="next"` }),
      page([entry("b"), entry("c")]),
    );
    const expected = [digestOf("a"), digestOf("b"), digestOf("c")];
    expect(digestsOf(await repository.listReferrers(model))).toEqual(expected);
    expect(registry.lines()).toEqual([`GET ${path}`, `GET ${path}?last=b`]);
  });

  test("of 10,000 arrives whole", async () => {
    for (let at = 0; at < 100; at += 1)
      registry.answers.push(
        page(
          Array.from({ length: 100 }, (_, of) => entry(`${at}/${of}`)),
          at === 99 ? {} : { link: `<${path}?page=${at + 1}>; rel="next"` },
        ),
      );
    expect(await repository.listReferrers(model)).toHaveLength(10_000);
  });

  test.each([
    ["lead back", path],
    ["lead elsewhere", "http://registry.example.com/v2/x/referrers/y"],
  ])("is refused when its pages %s", async (_, next) => {
    registry.answers.push(page([entry("a")], { link: `<${next}>; rel="next"` }));
    await expect(repository.listReferrers(model)).rejects.toMatchObject({
      code: "REGISTRY_PROTOCOL",
    });
    expect(registry.seen).toHaveLength(1);
  });

  test("is refused when its pages never end", async () => {
    registry.intercept = ({ url }) =>
      page([entry("a")], { link: `<?at=${url.length}${registry.seen.length}>; rel="next"` });
    await expect(repository.listReferrers(model)).rejects.toThrow("more than 1000 pages");
  });

  test("is refused when it has more entries than anybody would read", async () => {
    const entries = Array.from({ length: 25_001 }, (_, at) => entry(`${at}`));
    registry.intercept = () => {
      const at = registry.seen.length;
      const fresh = entries.map((one, of) => ({ ...one, digest: digestOf(`${at}/${of}`) }));
      return page(fresh, { link: `<?at=${at}>; rel="next"` });
    };
    await expect(repository.listReferrers(model)).rejects.toThrow("more than anybody would read");
    expect(registry.seen).toHaveLength(4);
  });

  test("is refused when a page in the middle is gone", async () => {
    registry.answers.push(page([entry("a")], { link: `<${path}?last=a>; rel="next"` }));
    await expect(repository.listReferrers(model)).rejects.toThrow("a page is missing");
  });

  test.each(["[]", "{}", '{"manifests":7}', "<html>"])("is refused when it is %s", async (body) => {
    registry.answers.push({ on: /referrers/, headers: json, body });
    await expect(repository.listReferrers(model)).rejects.toMatchObject({
      code: "REGISTRY_PROTOCOL",
    });
  });

  test("leaves out entries that are no descriptors", async () => {
    registry.answers.push(page([7, null, { digest: "md5:0" }, entry("a")]));
    expect(digestsOf(await repository.listReferrers(model))).toEqual([digestOf("a")]);
  });

  test("is filtered here when the registry does not say that it did", async () => {
    registry.answers.push(page([entry("a", "x/a"), entry("b", "x/b+json")]));
    const listed = await repository.listReferrers(model, { artifactType: "x/b+json" });
    expect(digestsOf(listed)).toEqual([digestOf("b")]);
    expect(registry.lines()).toEqual([`GET ${path}?artifactType=x%2Fb%2Bjson`]);
  });

  test("is taken as it is when the registry says that it filtered it", async () => {
    const { artifactType: _, ...bare } = entry("a");
    registry.answers.push(page([bare], { "oci-filters-applied": "artifactType" }));
    const listed = await repository.listReferrers(model, { artifactType: "x/a" });
    expect(digestsOf(listed)).toEqual([digestOf("a")]);
  });

  test.each([401, 403, 500])("that is answered with %d is no empty list", async (status) => {
    registry.intercept = () => ({ status });
    await expect(repository.listReferrers(model)).rejects.toHaveProperty("code");
  });
});

describe("a registry without the referrers API", () => {
  test.each([
    ["404", { status: 404 }],
    ["405", { status: 405 }],
    ["400 UNSUPPORTED", { status: 400, body: errorBody("UNSUPPORTED") }],
    ["a web page", { headers: { "content-type": "text/html" }, body: "<html>log in</html>" }],
    ["a redirect to a page", { status: 302, headers: { location: "/login" } }],
  ])("that answers %s: the tag of the subject lists them", async (_, answer) => {
    registry.intercept = ({ url }) =>
      url === "/login"
        ? { headers: { "content-type": "text/html; charset=utf-8" }, body: "<html>" }
        : undefined;
    registry.answers.push({ on: /referrers/, ...answer });
    putTag(index(entry("a", "x/a"), entry("b", "x/b")));
    const listed = await repository.listReferrers(model, { artifactType: "x/a" });
    expect(digestsOf(listed)).toEqual([digestOf("a")]);
  });

  test("a tag that lists nothing readable is refused", async () => {
    putTag("{}", mediaTypes.imageManifest);
    await expect(repository.listReferrers(model)).rejects.toMatchObject({
      code: "INVALID_MANIFEST",
    });
  });

  test("a sha512 subject has a tag of 64 digits", async () => {
    const subject = contentDigestOf(Buffer.from("x"), "sha512");
    await attach(repository, subject, { text: "one" });
    const name = `sha512-${digestHex(subject).slice(0, 64)}`;
    expect(await repository.listTags()).toEqual([name]);
    expect(await repository.listReferrers(subject)).toHaveLength(1);
  });

  test("a referrer is added to the list, and what stood there stays as it was", async () => {
    const foreign = { ...entry("theirs"), platform: { os: "plan9" }, data: "e30=" };
    putTag(JSON.stringify({ ...JSON.parse(index(foreign)), annotations: { by: "somebody" } }));
    const { descriptor } = await attach(repository, model, { artifactType: "x/a", text: "one" });
    expect(JSON.parse(String(registry.manifests.get(tag)?.bytes))).toEqual({
      schemaVersion: 2,
      mediaType: mediaTypes.imageIndex,
      annotations: { by: "somebody" },
      manifests: [foreign, { ...descriptor, artifactType: "x/a", annotations: { text: "one" } }],
    });
  });

  test("a registry that lists by itself gets no tag", async () => {
    registry.intercept = ({ method, url }) =>
      method === "PUT" && url.includes("manifests")
        ? { status: 201, headers: { "oci-subject": model } }
        : undefined;
    await attach(repository, model, { text: "one" });
    expect(registry.lines(/sha256-/)).toEqual([]);
  });

  test("one that is listed already is not written again", async () => {
    await attach(repository, model, { text: "one" });
    const written = registry.lines(/^PUT .*sha256-/).length;
    await attach(repository, model, { text: "one" });
    expect(written).toBe(1);
    expect(registry.lines(/^PUT .*sha256-/)).toHaveLength(1);
  });

  test("a tag that is something else is not overwritten", async () => {
    putTag(JSON.stringify({ mediaType: mediaTypes.imageManifest, layers: [] }));
    await expect(attach(repository, model, { text: "one" })).rejects.toMatchObject({
      code: "INVALID_MANIFEST",
    });
    expect(registry.lines(/^PUT .*sha256-/)).toEqual([]);
  });

  test("many clients that write the list at a time lose nobody's entry", async () => {
    await using clients = new AsyncDisposableStack();
    const writers = await Promise.all(
      Array.from({ length: 6 }, async () => clients.use(await open())),
    );
    const put = await Promise.all(
      writers.map((writer, at) => attach(writer, model, { text: `${at}` })),
    );
    const expected = put.map(({ descriptor }) => descriptor.digest).toSorted();
    expect(digestsOf(await repository.listReferrers(model)).toSorted()).toEqual(expected);
  });

  test("an entry that another writer overwrote is written once more, with theirs", async () => {
    // Somebody who read the list before we wrote writes right after us, without our entry.
    const theirs = index(entry("theirs"));
    registry.manifests.set(digestOf("theirs"), {
      mediaType: mediaTypes.imageManifest,
      bytes: Buffer.from("theirs"),
    });
    let reads = 0;
    registry.intercept = ({ method, url }) => {
      if (method === "GET" && url.endsWith(tag) && (reads += 1) === 2) putTag(theirs);
      return undefined;
    };
    const { descriptor } = await attach(repository, model, { text: "ours" });
    expect(digestsOf(await repository.listReferrers(model)).toSorted()).toEqual(
      [digestOf("theirs"), descriptor.digest].toSorted(),
    );
  });

  test("an entry that was overwritten is not brought back once its manifest is gone", async () => {
    putTag(index(entry("removed meanwhile")));
    let reads = 0;
    registry.intercept = ({ method, url }) => {
      if (method === "GET" && url.endsWith(tag) && (reads += 1) === 2) putTag(index());
      return undefined;
    };
    const { descriptor } = await attach(repository, model, { text: "ours" });
    expect(digestsOf(await repository.listReferrers(model))).toEqual([descriptor.digest]);
  });

  test("writers that never stop end it", async () => {
    registry.intercept = ({ method, url }) => {
      if (method === "GET" && url.endsWith(tag)) putTag(index(entry("theirs")));
      return undefined;
    };
    await expect(attach(repository, model, { text: "ours" })).rejects.toMatchObject({
      code: "REGISTRY_UNAVAILABLE",
      message: expect.stringContaining("others kept writing") as unknown,
    });
    expect(registry.lines(/^PUT .*sha256-/)).toHaveLength(10);
  });

  test("a list that would be too long is REGISTRY_LIMIT, and stays as it is", async () => {
    putTag(index({ ...entry("theirs"), annotations: { long: "x".repeat(4_193_900) } }));
    const before = registry.manifests.get(tag)?.bytes;
    await expect(attach(repository, model, { text: "ours" })).rejects.toMatchObject({
      code: "REGISTRY_LIMIT",
    });
    expect(registry.manifests.get(tag)?.bytes).toBe(before);
  });

  test("a referrer that is removed is taken out of the list", async () => {
    const gone = await attach(repository, model, { text: "one" });
    const kept = await attach(repository, model, { text: "two" });
    expect(await repository.deleteManifest(gone.descriptor.digest)).toBe(true);
    expect(digestsOf(await repository.listReferrers(model))).toEqual([kept.descriptor.digest]);
  });
});
