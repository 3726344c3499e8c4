import { readdir } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { copy } from "../../src/index.ts";
import { openRepository, putArtifact, putTree } from "../support/artifacts.ts";
import { runBallast } from "../support/ballast-command.ts";
import { basic, startFaultRegistry } from "../support/registry-faults.ts";
import { openWorkplace, type Workplace } from "../support/workplace.ts";

let place: Workplace;

beforeEach(async () => {
  place = await openWorkplace();
});
afterEach(() => place[Symbol.asyncDispose]());

const from = () => place.ref("team/from");
const to = () => place.ref("team/to");

describe("a copy of all tags", () => {
  test("brings each tag once, shared blobs once, and what refers to them by its own rules", async () => {
    await using source = await openRepository(from());
    const tree = await putTree(source.repository, "v1");
    const plain = await putArtifact(source.repository, "plain", {
      as: "v2",
      layers: ["tree shared", "own"],
    });
    await using target = await startFaultRegistry();
    const result = await copy({ source: from(), target: `${target.host}/to`, allTags: true });
    expect(result.copies.map(({ tag, digest }) => [tag, digest])).toEqual([
      ["v1", tree.top.digest],
      ["v2", plain.digest],
    ]);
    expect(result).toMatchObject({ manifests: { total: 6 }, referrers: { total: 5 } });
    const uploads = target.lines(/^PUT .*uploads/).map((line) => line.split("digest=")[1]);
    expect(uploads.length).toBe(new Set(uploads).size);
    expect(target.manifests.has(tree.signature.tag)).toBe(true);
    // The lists that a registry without the Referrers API gets instead, one of them of the SBOM.
    const lists = [...target.manifests.keys()].filter((key) => /^sha256-[0-9a-f]+$/.test(key));
    expect(lists.length).toBe(new Set(tree.referrers.map(({ digest }) => digest)).size);
  });

  test("leaves out a tag that goes away meanwhile, with a warning", async () => {
    await using source = await startFaultRegistry();
    await using opened = await openRepository(`${source.host}/from`);
    await putArtifact(opened.repository, "one", { as: "v1" });
    await putArtifact(opened.repository, "two", { as: "v2" });
    source.intercept = ({ url }) => {
      if (url.endsWith("/manifests/v1")) source.manifests.delete("v2");
      return undefined;
    };
    const result = await copy({
      source: `${source.host}/from`,
      target: to(),
      allTags: true,
      transfer: { connections: 1 },
    });
    expect(result.copies.map(({ tag }) => tag)).toEqual(["v1"]);
    expect(result.warnings).toEqual([expect.stringContaining("tag v2 went away")]);
  });

  test("takes no tag on either side", async () => {
    for (const [source, target] of [
      [`${from()}:v1`, to()],
      [from(), `${to()}:v1`],
    ] as const)
      await expect(copy({ source, target, allTags: true })).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
      });
  });
});

describe("a copy", () => {
  test("without referrers leaves them behind", async () => {
    await using source = await openRepository(from());
    const tree = await putTree(source.repository, "v1");
    const result = await copy({ source: `${from()}:v1`, target: to(), referrers: false });
    expect(result).toMatchObject({ manifests: { total: 5 }, referrers: { total: 0 } });
    await using target = await openRepository(to());
    expect(await target.repository.listTags()).toEqual(["v1"]);
    expect(await target.repository.listReferrers(tree.top.digest)).toEqual([]);
  });

  test("of one platform brings its manifest alone, under its own digest", async () => {
    await using source = await openRepository(from());
    const tree = await putTree(source.repository, "v1");
    const options = { source: `${from()}:v1`, target: to() };
    const result = await copy({ ...options, platform: "linux/arm64" });
    expect(result.copies).toMatchObject([{ digest: tree.all[1]?.digest, tag: "v1" }]);
    expect(result.manifests.total).toBe(1);
    await expect(copy({ ...options, platform: "plan9/mips" })).rejects.toMatchObject({
      code: "NOT_FOUND",
      hint: "it has: linux/amd64, linux/arm64/v8",
    });
  });

  test("within a registry mounts blobs instead of sending them", async () => {
    await using source = await openRepository(from());
    await putTree(source.repository, "v1");
    place.requests.length = 0;
    const { blobs } = await copy({ source: `${from()}:v1`, target: to() });
    expect(blobs).toMatchObject({ moved: 0, mounted: blobs.total });
    expect(place.requests.filter((line) => /^(?:GET|PUT|PATCH) .*\/blobs\//.test(line))).toEqual(
      [],
    );
  });

  test("stops asking for mounts that a registry does not make", async () => {
    await using registry = await startFaultRegistry();
    await using source = await openRepository(`${registry.host}/from`);
    const layers = Array.from({ length: 12 }, (_, at) => `layer ${at}`);
    await putArtifact(source.repository, "art", { as: "v1", layers });
    const held = new Map(registry.blobs);
    registry.intercept = ({ method, url }) => {
      const isMount = url.includes("mount=");
      if (isMount) return { status: 202, headers: { location: "/v2/to/blobs/uploads/1" } };
      if (method === "HEAD" && url.startsWith("/v2/to/blobs/")) return { status: 404 };
      return undefined;
    };
    const result = await copy({
      source: `${registry.host}/from:v1`,
      target: `${registry.host}/to:v1`,
    });
    expect(result.manifests.total).toBe(1);
    expect(registry.lines(/mount=/).length).toBeLessThan(held.size);
  });

  test("that may not move a tag leaves it, and sends nothing", async () => {
    await using source = await openRepository(from());
    await using target = await openRepository(to());
    const newer = await putArtifact(source.repository, "newer", { as: "v1" });
    const older = await putArtifact(target.repository, "older", { as: "v1" });
    const options = { source: `${from()}:v1`, target: to() };
    await expect(copy({ ...options, noOverwrite: true })).rejects.toMatchObject({
      code: "TAG_EXISTS",
      message: expect.stringMatching(
        `target .*${older.digest}.*source .*${newer.digest}`,
      ) as string,
    });
    expect(await target.repository.resolveManifest(newer.digest)).toBeUndefined();
    const { copies } = await copy(options);
    expect(copies).toMatchObject([{ digest: newer.digest, previousDigest: older.digest }]);
    await copy({ ...options, noOverwrite: true });
  });

  test("that is dry tells what would move, and makes no folder", async () => {
    await using source = await openRepository(from());
    await putTree(source.repository, "v1");
    const target = `oci:${place.inside("nowhere")}`;
    const result = await copy({ source: `${from()}:v1`, target, dryRun: true });
    expect(result).toMatchObject({
      dryRun: true,
      manifests: { moved: 5 },
      referrers: { moved: 5 },
    });
    expect(result.blobs.moved).toBe(result.blobs.total);
    expect(await readdir(place.path)).not.toContain("nowhere");
  });

  test("by digest gives the tag that the target names, or none", async () => {
    await using source = await openRepository(from());
    const { digest } = await putArtifact(source.repository, "art");
    await copy({ source: `${from()}@${digest}`, target: to() });
    await using target = await openRepository(to());
    expect(await target.repository.listTags()).toEqual([]);
    expect((await target.repository.resolveManifest(digest))?.digest).toBe(digest);
    await copy({ source: `${from()}@${digest}`, target: `${to()}:stable` });
    expect(await target.repository.listTags()).toEqual(["stable"]);
    await expect(
      copy({ source: `${from()}:stable`, target: `${to()}@${digest}` }),
    ).rejects.toMatchObject({ code: "INVALID_REFERENCE" });
  });
});

describe("credentials", () => {
  test.each(["source", "target"])("that the %s refuses are named as its own", async (side) => {
    await using guarded = await startFaultRegistry({ auth: "basic" });
    guarded.login = "right:one";
    await using source = await openRepository(from());
    await putArtifact(source.repository, "art", { as: "v1" });
    const ends =
      side === "source"
        ? { source: `${guarded.host}/from:v1`, target: to() }
        : { source: `${from()}:v1`, target: `${guarded.host}/to` };
    const credentials = { username: "wrong", password: "one" };
    const sideOptions = side === "source" ? { from: { credentials } } : { to: { credentials } };
    await expect(copy({ ...ends, ...sideOptions })).rejects.toMatchObject({
      code: "UNAUTHORIZED",
      message: expect.stringMatching(`^${side}.*${guarded.host}`) as string,
    });
  });

  test("of one side, or of none by name, never reach the other", async () => {
    await using source = await startFaultRegistry({ auth: "basic" });
    await using target = await startFaultRegistry({ auth: "basic" });
    await using opened = await openRepository(from());
    await putArtifact(opened.repository, "art", { as: "v1" });
    source.login = "reader:1";
    target.login = "writer:2";
    const environment = { BALLAST_USERNAME: "anyone", BALLAST_PASSWORD: "secret" };
    const reader = { credentials: { username: "reader", password: "1" } };
    const writer = { credentials: { username: "writer", password: "2" } };
    const ends = { source: `${source.host}/from:v1`, target: `${target.host}/to`, environment };
    await copy({ source: `${from()}:v1`, target: `${source.host}/from`, to: reader });
    await copy({ ...ends, from: reader, to: writer });
    expect(target.manifests.has("v1")).toBe(true);
    await expect(copy(ends)).rejects.toMatchObject({ code: "UNAUTHORIZED" });
    const sent = [source, target].map(
      ({ seen }) => new Set(seen.flatMap(({ headers }) => headers.authorization ?? [])),
    );
    expect(sent).toEqual([new Set([basic("reader:1")]), new Set([basic("writer:2")])]);
  });
});

describe("the command", () => {
  test("prints the name at the target, or one document, and takes a password for one side", async () => {
    await using source = await openRepository(from());
    const { digest } = await putArtifact(source.repository, "art", { as: "v1" });
    await using guarded = await startFaultRegistry({ auth: "basic" });
    guarded.login = "me:secret";
    const target = `${guarded.host}/to`;
    const login = ["--to-username", "me", "--to-password-stdin"];
    const home = place.inside("home");
    const args = ["copy", `${from()}:v1`, target, ...login];
    const first = await runBallast(args, { home, input: "secret\n" });
    expect(first).toMatchObject({ code: 0, out: `${target}@${digest}\n` });
    expect(first.err).toContain("copied 1 manifest and 0 referrers");
    const second = await runBallast([...args, "--json", "-q"], { home, input: "secret\n" });
    expect(second.err).toBe("");
    expect(JSON.parse(second.out)).toMatchObject({
      copies: [{ digest, name: `${target}@${digest}`, tag: "v1", previousDigest: null }],
      manifests: { total: 1, moved: 0 },
    });
    const both = [...login, "--from-username", "me", "--from-password-stdin"];
    const third = await runBallast(["copy", `${from()}:v1`, target, ...both], { home });
    expect(third).toMatchObject({ code: 2, out: "" });
  });
});
