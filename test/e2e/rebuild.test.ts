import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { push } from "../../src/index.ts";
import { hashFiles } from "../support/file-digests.ts";
import {
  makeSafetensors,
  makeTemporaryFolder,
  type TemporaryFolder,
  writeTree,
} from "../support/models.ts";
import { toolDirectory, toolPath, toolsMissing } from "../support/programs.ts";
import { randomBytes } from "../support/random-model.ts";
import { type Distribution, startDistribution } from "../support/real-registries.ts";

const repository = resolve(import.meta.dirname, "../..");
const script = join(repository, "examples/rebuild-without-ballast/rebuild.sh");
const mebibyte = 1_048_576;

describe.skipIf(toolsMissing("registry", "crane", "jq"))("rebuild.sh", () => {
  let folder: TemporaryFolder;
  let registry: Distribution;

  beforeAll(async () => {
    folder = await makeTemporaryFolder();
    registry = await startDistribution({ version: "v3" });
  });
  afterAll(async () => {
    await registry[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  test("puts a model together again, byte for byte, by tag and by digest", async () => {
    const model = join(folder.path, "model");
    const shared = tensor("model.layers.0.mlp.up_proj.weight", "shared", 12 * mebibyte);
    await writeTree(model, {
      "a folder with spaces/its file.txt": "spaces\n",
      "several chunks.bin": randomBytes("content", 70 * mebibyte),
      "none at all": "",
      'quotes " and $HOME \\ back.txt': "not for a shell\n",
      "ünïcödé/模型.json": "{}",
      "model-00001-of-00002.safetensors": makeSafetensors([
        shared,
        tensor("embed.weight", "embed", 40 * mebibyte),
      ]),
      "model-00002-of-00002.safetensors": makeSafetensors([
        tensor("model.norm.weight", "norm", 4096),
        shared,
      ]),
    });
    const reference = `${registry.address}/team/model:v1`;
    const { name, chunks, layers } = await push({ source: model, reference });
    expect(chunks).toBeGreaterThan(10);
    expect(layers.total).toBeGreaterThan(2);
    const expected = await hashFiles(model);
    for (const [at, from] of [reference, name].entries()) {
      const output = join(folder.path, `rebuilt ${at}`);
      await rebuild(from, output);
      expect(await hashFiles(output)).toEqual(expected);
    }
  });

  test("rebuilds a tune whose layers are partly its base's", async () => {
    const [first, second] = [join(folder.path, "first"), join(folder.path, "second")];
    const kept = tensor("kept.weight", "kept", 20 * mebibyte);
    await writeTree(first, {
      "model.safetensors": makeSafetensors([kept, tensor("other.weight", "1", 9 * mebibyte)]),
    });
    await writeTree(second, {
      "model.safetensors": makeSafetensors([kept, tensor("other.weight", "2", 9 * mebibyte)]),
    });
    const reference = `${registry.address}/team/tune:v1`;
    await push({ source: first, reference });
    const pushed = await push({ source: second, reference });
    expect(pushed.base?.reusedBytes).toBeGreaterThan(0);
    const output = join(folder.path, "rebuilt tune");
    await rebuild(reference, output);
    expect(await hashFiles(output)).toEqual(await hashFiles(second));
  });

  test("stops at a model that is not there", async () => {
    const output = join(folder.path, "nothing");
    const missing = rebuild(`${registry.address}/team/nothing:v1`, output);
    await expect(missing).rejects.toMatchObject({ code: expect.any(Number) });
  });

  test("is the script that docs/format.md shows", async () => {
    const page = await readFile(join(repository, "docs/format.md"), "utf8");
    expect(page).toContain(`\`\`\`bash\n${await readFile(script, "utf8")}\`\`\`\n`);
  });
});

function tensor(name: string, seed: string, size: number) {
  return { name, dtype: "F32", shape: [size / 4], bytes: randomBytes(seed, size) };
}

async function rebuild(reference: string, output: string): Promise<void> {
  const tools = [toolDirectory("crane"), toolDirectory("jq"), process.env["PATH"]];
  expect(toolPath("jq")).toContain(toolDirectory("jq"));
  const env = { ...process.env, PATH: tools.join(":") };
  await promisify(execFile)("bash", [script, reference, output], { env });
}
