import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type PushResult, pull, push } from "../../src/index.ts";
import { hashFiles } from "../support/file-digests.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";
import { runPeer } from "../support/peer-programs.ts";
import { toolsMissing } from "../support/programs.ts";
import { randomBytes, writeRandomModel } from "../support/random-model.ts";
import { type Distribution, startDistribution } from "../support/real-registries.ts";

const tools = ["registry", "docker-registry", "crane", "regctl"] as const;

describe.skipIf(toolsMissing(...tools))("other programs", () => {
  let folder: TemporaryFolder;
  let here: Distribution;
  let there: Distribution;
  let model: string;
  let expected: Record<string, string>;
  let reference: string;
  let pushed: PushResult;

  beforeAll(async () => {
    folder = await makeTemporaryFolder();
    [here, there] = await Promise.all([
      startDistribution({ version: "v3" }),
      startDistribution({ version: "v2" }),
    ]);
    model = join(folder.path, "model");
    await writeRandomModel(model, ["a", "b", "c", "d"]);
    expected = await hashFiles(model);
    reference = `${here.address}/team/model:v1`;
    pushed = await push({ source: model, reference });
  });
  afterAll(async () => {
    await here[Symbol.asyncDispose]();
    await there[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  test("crane reads the manifest and finds every blob sound", async () => {
    const manifest = JSON.parse(await crane("manifest", reference));
    expect(manifest.artifactType).toBe("application/vnd.ballast.model.v1+json");
    expect(manifest.layers).toHaveLength(pushed.layers.total + 1);
    expect(await crane("digest", reference)).toBe(pushed.digest);
    expect(await crane("config", reference)).toBe("{}");
    expect(await crane("validate", "--remote", reference)).toMatch(/^PASS/);
  });

  test("crane fails on it as an image, and says why", async () => {
    const target = join(folder.path, "export.tar");
    await expect(crane("export", reference, target)).rejects.toThrow(/invalid tar header/);
  });

  test("regctl reads the manifest and lists what belongs to it", async () => {
    const text = await regctl("manifest", "get", reference, "--format", "raw-body");
    expect(JSON.parse(text).artifactType).toBe("application/vnd.ballast.model.v1+json");
    expect(await regctl("manifest", "head", reference)).toBe(pushed.digest);
    expect(await regctl("artifact", "list", reference)).toContain(pushed.digest);
    expect(await regctl("artifact", "get", "--config", reference)).toBe("{}");
    // Its last word for something that is no image.
    await expect(regctl("image", "inspect", reference)).rejects.toThrow(/artifacts are not/);
  });

  test("regctl fetches the layers as files", async () => {
    const output = join(folder.path, "fetched");
    await mkdir(output);
    await regctl("artifact", "get", reference, "--output", output);
    // Layers have no title (docs/format.md, "Manifest"): their digests name the files.
    const names = await readdir(output, { recursive: true });
    expect(names.filter((name) => /[0-9a-f]{64}/.test(name))).toHaveLength(pushed.layers.total + 1);
  });

  test.each([
    ["crane", (target: string) => crane("copy", reference, target)],
    ["regctl", (target: string) => regctl("image", "copy", reference, target)],
  ])("%s copies it to another registry, where it is the same model", async (name, copy) => {
    const target = `${there.address}/copied-by/${name}:v1`;
    await copy(target);
    expect(await crane("digest", target)).toBe(pushed.digest);
    await expectPull(target, `copied-by-${name}`);
    const again = await push({ source: model, reference: target });
    expect(again).toMatchObject({ digest: pushed.digest, bytes: { moved: 0 } });
  });

  test.each([
    ["crane", (layout: string, target: string) => crane("push", layout, target)],
    [
      "regctl",
      (layout: string, target: string) => regctl("image", "copy", `ocidir://${layout}:v1`, target),
    ],
  ])("%s pushes a layout folder that Ballast wrote", async (name, send) => {
    const layout = join(folder.path, `layout-for-${name}`);
    const packed = await push({ source: model, reference: `oci:${layout}:v1` });
    expect(packed.digest).toBe(pushed.digest);
    const target = `${there.address}/pushed-by/${name}:v1`;
    await send(layout, target);
    await expectPull(target, `pushed-by-${name}`);
  });

  test("regctl reads a layout folder that Ballast wrote to twice", async () => {
    const layout = join(folder.path, "layout-of-two");
    await push({ source: model, reference: `oci:${layout}:v1` });
    await push({ source: join(model, "tokenizer"), reference: `oci:${layout}:v2` });
    expect(await regctl("tag", "ls", `ocidir://${layout}`)).toBe("v1\nv2");
    expect(await regctl("manifest", "head", `ocidir://${layout}:v1`)).toBe(pushed.digest);
  });

  test.each([
    [
      "regctl",
      (layout: string) => regctl("image", "copy", reference, `ocidir://${layout}:v1`),
      ":v1",
    ],
    [
      "crane --annotate-ref",
      (layout: string) => crane("pull", "--format=oci", "--annotate-ref", reference, layout),
      ":v1",
    ],
    // Nothing in that layout is named, so only the digest can name it.
    ["crane", (layout: string) => crane("pull", "--format=oci", reference, layout), "@"],
  ])("a layout folder that %s wrote is pulled", async (name, write, suffix) => {
    const layout = join(folder.path, `layout by ${name}`.replaceAll(" ", "-"));
    await write(layout);
    expect(await readdir(layout)).toContain("oci-layout");
    const end = suffix === "@" ? `@${pushed.digest}` : suffix;
    await expectPull(`oci:${layout}${end}`, `from-${name}`);
  });

  test("Ballast and regctl take turns in one layout folder", async () => {
    const layout = join(folder.path, "shared-layout");
    await push({ source: model, reference: `oci:${layout}:ours` });
    const tuned = join(folder.path, "tuned");
    await writeRandomModel(tuned, ["a", "b", "c", "other"]);
    const theirs = `${here.address}/team/tuned:v1`;
    await push({ source: tuned, reference: theirs });
    await regctl("image", "copy", theirs, `ocidir://${layout}:theirs`);
    const third = join(folder.path, "third");
    await writeRandomModel(third, [randomBytes("x", 4).toString("hex")]);
    await push({ source: third, reference: `oci:${layout}:third` });
    expect((await regctl("tag", "ls", `ocidir://${layout}`)).split("\n").sort()).toEqual([
      "ours",
      "theirs",
      "third",
    ]);
    await expectPull(`oci:${layout}:ours`, "ours");
    await expectPull(`oci:${layout}:theirs`, "theirs", await hashFiles(tuned));
  });

  async function expectPull(from: string, name: string, files = expected): Promise<void> {
    const output = join(folder.path, "out", name);
    await pull({ reference: from, output });
    expect(await hashFiles(output)).toEqual(files);
    await rm(output, { recursive: true });
  }

  function crane(...args: string[]): Promise<string> {
    return runPeer("crane", args, { folder: folder.path });
  }

  function regctl(...args: string[]): Promise<string> {
    const hosts = [here.address, there.address];
    return runPeer("regctl", args, { folder: folder.path, hosts });
  }
});
