import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { parseReference } from "../../src/core/reference.ts";
import {
  listTags,
  type PushResult,
  pull,
  push,
  type RemoveOptions,
  removeFromRepository,
  tag,
} from "../../src/index.ts";
import { connect } from "../../src/model/connection.ts";
import { type CommandResult, runBallast } from "../support/ballast-command.ts";
import { startFaultRegistry } from "../support/registry-faults.ts";
import { flipBit, mebi, openWorkplace, type Workplace } from "../support/workplace.ts";

let place: Workplace;
let pushed: PushResult;
let repository: string;

beforeEach(async () => {
  place = await openWorkplace();
  repository = place.ref("team/model");
  pushed = await place.push(await place.writeModel(), "team/model:v1");
});
afterEach(async () => place[Symbol.asyncDispose]());

const run = (...args: string[]): Promise<CommandResult> => runBallast(args, { home: place.path });
const names = async (from = repository): Promise<string[]> =>
  (await listTags({ repository: from, all: true })).tags.map((each) => each.tag);
const remove = (references: readonly string[], options?: Partial<RemoveOptions>) =>
  removeFromRepository({ references, ...options });

/** Attaches an artifact to a manifest; resolves to its name. */
async function attach(subject: string, kind = "signature"): Promise<string> {
  const reference = parseReference(subject);
  await using connection = await connect(reference, { writes: true });
  const { repository: target } = connection;
  const [empty, content] = [Buffer.from("{}"), Buffer.from(`${kind} of ${subject}`)];
  for (const bytes of [empty, content])
    await target.putBlob({ digest: digestOf(bytes), size: bytes.length }, () => [bytes]);
  const { mediaType, digest, size } = (await target.fetchManifest(reference.digest ?? ""))
    .descriptor;
  const describe = (bytes: Buffer) => ({
    mediaType: "application/octet-stream",
    digest: digestOf(bytes),
    size: bytes.length,
  });
  const manifest = {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    artifactType: `application/vnd.example.${kind}`,
    config: describe(empty),
    layers: [describe(content)],
    subject: { mediaType, digest, size },
  };
  const bytes = Buffer.from(JSON.stringify(manifest));
  const put = await target.putManifest(digestOf(bytes), { mediaType: manifest.mediaType, bytes });
  return `${target.name}@${put.digest}`;
}

describe("the removal of a tag", () => {
  test("takes the tag, and leaves its manifest by digest", async () => {
    const result = await remove([`${repository}:v1`]);
    expect(result.removed).toEqual([`${repository}:v1`]);
    expect(await names()).toEqual([]);
    await pull({ reference: pushed.name, output: place.inside("out") });
  });

  test("tells which other tags keep the model, so that nothing becomes free", async () => {
    await tag({ reference: pushed.name, tags: ["v2", "stable"] });
    const { repositories } = await remove([`${repository}:v1`, `${repository}:v2`]);
    expect(repositories).toMatchObject([
      {
        removals: [
          { kind: "tag", tag: "v1", digest: pushed.digest, remainingTags: ["stable"] },
          { kind: "tag", tag: "v2", remainingTags: ["stable"] },
        ],
        freeableBytes: 0,
      },
    ]);
    expect(repositories[0]?.sharedBytes).toBeGreaterThan(5 * mebi);
    expect(await names()).toEqual(["stable"]);
  });

  test("counts what no other tag needs", async () => {
    const tuned = await place.write("tuned", {});
    await place.writeModel("tuned");
    await place.write("tuned", { "extra.bin": Buffer.alloc(mebi, 9) });
    await place.push(tuned, "team/model:v2");
    const { repositories } = await remove([`${repository}:v2`], { dryRun: true });
    const [plan] = repositories;
    expect(plan?.freeableBytes).toBeGreaterThan(mebi);
    expect(plan?.freeableBytes).toBeLessThan(1.1 * mebi);
    expect(plan?.sharedBytes).toBeGreaterThan(5 * mebi);
    expect(await names()).toEqual(["v1", "v2"]);
  });
});

describe("the removal of a manifest", () => {
  test("takes all of its tags, and no other", async () => {
    await tag({ reference: pushed.name, tags: ["v2"] });
    await place.push(await place.writeModel("b", "b"), "team/model:other");
    const { repositories, removed } = await remove([pushed.name]);
    expect(repositories[0]?.removals).toMatchObject([{ kind: "manifest", tags: ["v1", "v2"] }]);
    expect(removed).toEqual([pushed.name]);
    expect(await names()).toEqual(["other"]);
    const reference = pushed.name;
    await expect(pull({ reference, output: place.inside("out") })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
  });

  test("leaves what is attached to it, unless that is asked for", async () => {
    const signature = await attach(pushed.name);
    const counter = await attach(signature, "countersignature");
    const dry = await remove([pushed.name], { withReferrers: true, dryRun: true });
    expect(dry.repositories[0]?.removals[0]?.attached).toMatchObject([
      { kind: "application/vnd.example.signature" },
      { kind: "application/vnd.example.countersignature" },
    ]);
    const { removed } = await remove([pushed.name], { withReferrers: true });
    expect(removed).toEqual([counter, signature, pushed.name]);
    await expect(remove([signature])).rejects.toMatchObject({ code: "NOT_FOUND" });
  });

  test("leaves the signature there without withReferrers", async () => {
    const signature = await attach(pushed.name);
    expect((await remove([pushed.name])).removed).toEqual([pushed.name]);
    expect((await remove([signature])).removed).toEqual([signature]);
  });
});

describe("a removal", () => {
  test("works in a layout folder", async () => {
    const layout = `oci:${place.inside("layout")}`;
    const { name } = await push({ source: place.inside("model"), reference: `${layout}:v1` });
    const signature = await attach(name);
    await tag({ reference: `${layout}:v1`, tags: ["v2"] });
    expect((await remove([`${layout}:v2`])).removed).toEqual([`${layout}:v2`]);
    const { removed } = await remove([name], { withReferrers: true });
    expect(removed).toEqual([signature, name]);
    expect(await names(layout)).toEqual([]);
  });

  test("of several repositories happens after all of it was found", async () => {
    await place.push(place.inside("model"), "team/second:v1");
    const second = place.ref("team/second:v1");
    const absent = place.ref("team/second:v7");
    await expect(remove([`${repository}:v1`, absent])).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    expect(await names()).toEqual(["v1"]);
    const { removed } = await remove([`${repository}:v1`, second, second]);
    expect(removed).toEqual([`${repository}:v1`, second]);
  });

  test("of a tag that moves while somebody is asked does nothing", async () => {
    await place.writeModel("b", "b");
    await tag({ reference: pushed.name, tags: ["stays"] });
    const confirm = async () => {
      await place.push(place.inside("b"), "team/model:v1");
      return true;
    };
    const failure = remove([`${repository}:stays`, `${repository}:v1`], { confirm });
    await expect(failure).rejects.toMatchObject({
      code: "TAG_EXISTS",
      message: expect.stringMatching(/:v1 has moved to sha256:.* nothing was removed/) as string,
    });
    expect(await names()).toEqual(["stays", "v1"]);
  });

  test("of a manifest that gets a tag while somebody is asked does nothing", async () => {
    const confirm = async () => {
      await tag({ reference: pushed.name, tags: ["wanted"] });
      return true;
    };
    await expect(remove([pushed.name], { confirm })).rejects.toMatchObject({
      code: "TAG_EXISTS",
      message: expect.stringContaining("has got the tag wanted") as string,
    });
    expect(await names()).toEqual(["v1", "wanted"]);
  });

  test("that nobody wants is CANCELLED and does nothing", async () => {
    const failure = remove([pushed.name], { confirm: () => false });
    await expect(failure).rejects.toMatchObject({ code: "CANCELLED" });
    expect(await names()).toEqual(["v1"]);
  });

  test.each([
    ["", {}, "names no tag and no digest"],
    [`:v1@sha256:${"0".repeat(64)}`, {}, "names a tag and a digest"],
    [":v1", { withReferrers: true }, "is a tag: its manifest stays"],
  ])("of REPO%s with %j is INVALID_ARGUMENT", async (suffix, options, message) => {
    await expect(remove([`${repository}${suffix}`], options)).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
      message: expect.stringContaining(message) as string,
    });
  });

  test("from a registry that removes nothing is REGISTRY_UNSUPPORTED with a next step", async () => {
    await using registry = await startFaultRegistry();
    const reference = `${registry.host}/team/model:v1`;
    await push({ source: place.inside("model"), reference });
    registry.intercept = ({ method, url }) => {
      if (url.includes("/referrers/")) return { status: 404 };
      return method === "DELETE" ? { status: 405 } : undefined;
    };
    await expect(remove([reference])).rejects.toMatchObject({
      code: "REGISTRY_UNSUPPORTED",
      hint: expect.stringMatching(/./) as string,
    });
  });

  test("where nobody tells what is attached is done, unless that is to go too", async () => {
    await using registry = await startFaultRegistry();
    const reference = `${registry.host}/team/model:v1`;
    const { name } = await push({ source: place.inside("model"), reference });
    registry.intercept = ({ method, url }) => {
      if (url.includes("/referrers/")) return { status: 403 };
      return method === "DELETE" ? { status: 202 } : undefined;
    };
    const [plan] = (await remove([name])).repositories;
    expect(plan?.removals).toMatchObject([{ attached: undefined, tags: ["v1"] }]);
    await expect(remove([name], { withReferrers: true })).rejects.toMatchObject({
      code: "FORBIDDEN",
    });
  });

  test("beside a damaged manifest tells no number, and the damaged one can go", async () => {
    const layout = place.inside("layout");
    await push({ source: place.inside("model"), reference: `oci:${layout}:v1` });
    const source = await place.writeModel("b", "b");
    const other = await push({ source, reference: `oci:${layout}:other` });
    await flipBit(join(layout, "blobs", other.digest.replace(":", "/")), 20);
    const { repositories } = await remove([`oci:${layout}:v1`], { dryRun: true });
    expect(repositories).toMatchObject([{ freeableBytes: undefined, sharedBytes: undefined }]);
    expect((await remove([other.name])).removed).toEqual([other.name]);
    expect(await names(`oci:${layout}`)).toEqual(["v1"]);
  });
});

describe("ballast registry rm", () => {
  test("says what goes, what remains and what that frees, and prints what went", async () => {
    await tag({ reference: pushed.name, tags: ["v2"] });
    await attach(pushed.name);
    const dry = await run("registry", "rm", `${repository}:v1`, "--dry-run");
    expect(dry).toMatchObject({ code: 0, out: "" });
    for (const part of [
      `would remove the tag ${repository}:v1`,
      `its manifest stays: ${pushed.name}`,
      "still tagged v2",
      "frees nothing",
    ])
      expect(dry.err).toContain(part);
    const byDigest = await run("registry", "rm", pushed.name, "--yes", "--with-referrers");
    expect(byDigest).toMatchObject({ code: 0, out: expect.stringContaining(`${pushed.name}\n`) });
    for (const part of ["with its tags v1, v2", "signature: goes too", "when it collects garbage"])
      expect(byDigest.err).toContain(part);
    expect((await run("registry", "rm", pushed.name, "--yes")).code).toBe(3);
  });

  test("asks for nothing where nobody can be asked, but for --yes", async () => {
    place.requests.length = 0;
    const { code, out, err } = await run("registry", "rm", `${repository}:v1`);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain("say --yes, or --dry-run");
    expect(place.requests).toEqual([]);
  });

  test("names what frees the space of a folder", async () => {
    const layout = `oci:${place.inside("layout")}`;
    await push({ source: place.inside("model"), reference: `${layout}:v1` });
    const { err } = await run("registry", "rm", `${layout}:v1`, "--dry-run");
    expect(err).toContain(`ballast registry prune ${layout} frees them`);
  });

  test("prints one document with --json", async () => {
    const { out, err } = await run("registry", "rm", `${repository}:v1`, "--yes", "--json", "-q");
    expect(err).toBe("");
    expect(JSON.parse(out)).toMatchObject({
      removed: [`${repository}:v1`],
      dryRun: false,
      repositories: [{ repository, removals: [{ tag: "v1", remainingTags: [] }] }],
    });
  });
});
