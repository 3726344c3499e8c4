import { rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { describeModel, type ModelDescription } from "../../src/pack/metadata/describe-model.ts";
import { formatParamSize } from "../../src/pack/metadata/model-facts.ts";
import { listDirectory } from "../../src/source/directory-source.ts";
import {
  frameSafetensors,
  makeGguf,
  makeSafetensors,
  makeTemporaryFolder,
  type TemporaryFolder,
  writeTree,
} from "../support/models.ts";

let folder: TemporaryFolder;

beforeEach(async () => {
  folder = await makeTemporaryFolder();
});

afterEach(async () => {
  await folder[Symbol.asyncDispose]();
});

async function describeFiles(
  files: Record<string, string | Uint8Array>,
): Promise<ModelDescription> {
  await writeTree(folder.path, files);
  return describeModel(await listDirectory(folder.path));
}

/** The annotations without the prefix that most share. */
function shorten({ annotations }: ModelDescription): Record<string, string> {
  const entries = Object.entries(annotations);
  return Object.fromEntries(
    entries.map(([key, value]) => [
      key.replace("dev.ballast.model.", "").replace("org.opencontainers.image.", ""),
      value,
    ]),
  );
}

const bf16 = (name: string, ...shape: number[]) => {
  const count = shape.reduce((product, extent) => product * extent, 1);
  return { name, dtype: "BF16", shape, bytes: Buffer.alloc(count * 2) };
};
const json = (value: unknown) => JSON.stringify(value);

describe("a model is described", () => {
  test("from its card, its configuration and its weights", async () => {
    const description = await describeFiles({
      "README.md":
        "---\nlicense: apache-2.0\nbase_model: org/base\npipeline_tag: text-generation\nlibrary_name: transformers\n---\n# Hi\nlicense: mit\n",
      "config.json": json({
        model_type: "llama",
        architectures: ["LlamaForCausalLM"],
        torch_dtype: "float32",
      }),
      "model.safetensors": makeSafetensors([
        bf16("a", 30, 40),
        { name: "mask", dtype: "F32", shape: [5], bytes: Buffer.alloc(20) },
      ]),
    });
    expect(shorten(description)).toEqual({
      family: "llama",
      architecture: "LlamaForCausalLM",
      format: "safetensors",
      parameters: "1205",
      paramsize: "1.2K",
      precision: "bf16",
      base: "org/base",
      task: "text-generation",
      library: "transformers",
      licenses: "apache-2.0",
    });
    expect(description.warnings).toEqual([]);
    expect(Object.keys(description.annotations)).toEqual(
      Object.keys(description.annotations).toSorted(),
    );
  });

  test("as an adapter, with its kind and base", async () => {
    const description = await describeFiles({
      "adapter_config.json": json({ peft_type: "LORA", base_model_name_or_path: "org/base" }),
      "adapter_model.safetensors": makeSafetensors([bf16("lora_A", 4, 2)]),
    });
    expect(shorten(description)).toMatchObject({
      adapter: "LORA",
      base: "org/base",
      parameters: "8",
    });
  });

  test.each(["/home/someone/base", "./base", "../base", "~/base", "C:\\base", "file:///base"])(
    "without the path of a base on somebody's disk: %s",
    async (path) => {
      const description = await describeFiles({
        "adapter_config.json": json({ peft_type: "LORA", base_model_name_or_path: path }),
      });
      expect(shorten(description)).toEqual({ adapter: "LORA" });
    },
  );

  test("as quantized, without a count of what is packed into integers", async () => {
    const description = await describeFiles({
      "config.json": json({
        dtype: "float16",
        quantization_config: { quant_method: "gptq", bits: 4 },
      }),
      "model.safetensors": makeSafetensors([
        { name: "qweight", dtype: "I32", shape: [8], bytes: Buffer.alloc(32) },
      ]),
    });
    expect(shorten(description)).toEqual({
      format: "safetensors",
      precision: "fp16",
      quantization: "gptq",
    });
  });

  test("as fp8, whose values can be counted", async () => {
    const description = await describeFiles({
      "config.json": json({ quantization_config: { quant_method: "fp8" } }),
      "model.safetensors": makeSafetensors([
        { name: "w", dtype: "F8_E4M3", shape: [8], bytes: Buffer.alloc(8) },
      ]),
    });
    expect(shorten(description)).toMatchObject({
      quantization: "fp8",
      precision: "fp8",
      parameters: "8",
    });
  });

  test("the same in a Hugging Face cache folder as anywhere else", async () => {
    const commit = "a".repeat(40);
    const config = JSON.stringify({ model_type: "llama" });
    await writeTree(join(folder.path, "models--org--tiny"), {
      [`snapshots/${commit}/config.json`]: config,
      "refs/main": commit,
    });
    const source = await listDirectory(join(folder.path, "models--org--tiny"));
    expect(shorten(await describeModel(source))).toEqual({ family: "llama" });
  });

  test("by nothing but its files: the folder's name and times do not show", async () => {
    const files = {
      "README.md": "---\nlicense: mit\n---\n",
      "model.safetensors": makeSafetensors([bf16("a", 1)]),
    };
    const first = await describeFiles(files);
    await using other = await makeTemporaryFolder();
    await writeTree(other.path, files);
    expect(await describeModel(await listDirectory(other.path))).toEqual(first);
  });

  test("with nothing at all when it says nothing", async () => {
    expect(await describeFiles({ "notes.txt": "hello", "README.md": "# no front matter" })).toEqual(
      {
        annotations: {},
        warnings: [],
      },
    );
  });
});

describe("parameters", () => {
  const shard = (at: number, ...shape: number[]) =>
    makeSafetensors([bf16(`layer.${at}`, ...shape)]);

  test("are those of the files that the index lists, once", async () => {
    const description = await describeFiles({
      "model-1.safetensors": shard(1, 10),
      "model-2.safetensors": shard(2, 20),
      "consolidated.safetensors": shard(3, 30),
      "model.safetensors.index.json": json({
        weight_map: { a: "model-1.safetensors", b: "model-2.safetensors" },
      }),
    });
    expect(shorten(description)["parameters"]).toBe("30");
    expect(description.warnings).toEqual([]);
  });

  test("are those of the whole model when copies lie beside it", async () => {
    const description = await describeFiles({
      "model.safetensors": shard(1, 10),
      "other.safetensors": shard(2, 10),
      "onnx/model.safetensors": shard(3, 10),
    });
    expect(shorten(description)["parameters"]).toBe("10");
  });

  test("of a pipeline are those of all its parts, each variant once", async () => {
    const description = await describeFiles({
      "unet/model.safetensors": shard(1, 10),
      "unet/model.fp16.safetensors": shard(1, 10),
      "vae/model.safetensors": shard(1, 10),
    });
    expect(shorten(description)["parameters"]).toBe("20");
  });

  test("are left out when a header is damaged", async () => {
    const description = await describeFiles({
      "a.safetensors": shard(1, 10),
      "b.safetensors": frameSafetensors("{}", Buffer.alloc(5)),
    });
    expect(shorten(description)).toEqual({ format: "safetensors" });
  });

  test.each([
    [0, "0.0K"],
    [1205, "1.2K"],
    [22_713_216, "22.7M"],
    [999_960_000, "1.0B"],
    [8_030_261_248, "8.0B"],
    [1_000_000_000_000, "1.0T"],
    [2 ** 53 - 1, "9.0Q"],
  ])("%d are written as %s", (count, text) => {
    expect(formatParamSize(count)).toBe(text);
  });
});

describe("GGUF files", () => {
  const tensor = (name: string) => ({ name, shape: [256], type: 12, bytes: Buffer.alloc(144) });
  const model = (fileType: number, name = "t") =>
    makeGguf({
      metadata: [
        ["general.architecture", "llama"],
        ["general.name", "Tiny Llama"],
        ["general.license", "mit"],
        ["general.size_label", "8x7B"],
        ["general.file_type", fileType],
        ["general.base_model.0.organization", "Some Org"],
        ["general.base_model.0.name", "Base"],
        ["general.base_model.1.repo_url", "https://hub.example.com/other/base"],
      ],
      tensors: [tensor(name)],
    });

  test("describe themselves", async () => {
    expect(shorten(await describeFiles({ "tiny.gguf": model(15) }))).toEqual({
      family: "llama",
      architecture: "llama",
      format: "gguf",
      parameters: "256",
      paramsize: "0.3K",
      quantization: "Q4_K_M",
      base: "Some-Org/Base,other/base",
      licenses: "mit",
      title: "Tiny Llama",
    });
  });

  test("that are not quantized have a precision", async () => {
    const facts = shorten(await describeFiles({ "tiny.gguf": model(1025) }));
    expect(facts).toMatchObject({ precision: "fp16" });
    expect(facts).not.toHaveProperty("quantization");
  });

  test("that are parts of one model are counted together", async () => {
    const facts = shorten(
      await describeFiles({
        "tiny-00001-of-00002.gguf": model(15, "a"),
        "tiny-00002-of-00002.gguf": makeGguf({ tensors: [tensor("b")] }),
        "mmproj-F16.gguf": makeGguf({
          metadata: [["general.architecture", "clip"]],
          tensors: [tensor("c")],
        }),
      }),
    );
    expect(facts).toMatchObject({ family: "llama", parameters: "512" });
  });

  test("that are quantizations of one model are named together and not counted", async () => {
    const facts = shorten(await describeFiles({ "b.gguf": model(7), "a.gguf": model(15) }));
    expect(facts).toMatchObject({ quantization: "Q4_K_M,Q8_0", paramsize: "8x7B" });
    expect(facts).not.toHaveProperty("parameters");
  });
});

describe("what is malformed costs a warning and nothing else", () => {
  test.each([
    ["config.json that is no JSON", { "config.json": "{" }, /"config.json" is not valid JSON/],
    ["config.json that is a list", { "config.json": "[]" }, /"config.json" is not a JSON object/],
    ["adapter_config.json", { "adapter_config.json": "nul" }, /"adapter_config.json"/],
    ["a deep config.json", { "config.json": "[".repeat(10_000) }, /nests deeper/],
    ["a huge config.json", { "config.json": " ".repeat(5_000_000) }, /larger than 4194304/],
    ["a card that is no YAML", { "README.md": "---\na: [\n---\n" }, /"README.md".*front matter/],
    ["a card that is a list", { "README.md": "---\n- a\n---\n" }, /"README.md".*front matter/],
    ["a deep card", { "README.md": `---\na: ${"[".repeat(50_000)}\n---\n` }, /front matter/],
    [
      "a card of many aliases",
      { "README.md": `---\na: &a [1]\n${aliasBomb(12)}\n---\n` },
      /front matter/,
    ],
    [
      "an index without a map",
      { "model.safetensors.index.json": "{}", "a.safetensors": makeSafetensors([]) },
      /no weight_map/,
    ],
  ])("%s", async (_, files: Record<string, string | Uint8Array>, warning) => {
    const { warnings } = await describeFiles(files);
    expect(warnings).toEqual([expect.stringMatching(warning)]);
  });

  test("an index whose files are not all there, for that is a download cut short", async () => {
    const { warnings } = await describeFiles({
      "model-1.safetensors": makeSafetensors([bf16("a", 1)]),
      "model.safetensors.index.json": json({
        weight_map: {
          a: "model-1.safetensors",
          b: "model-2.safetensors",
          c: "model-2.safetensors",
        },
      }),
    });
    expect(warnings).toEqual([expect.stringMatching(/lists 1 files.*model-2/)]);
  });

  test("Git LFS pointers in place of weights", async () => {
    const pointer = "version https://git-lfs.example.com/spec/v1\noid sha256:0\nsize 5\n";
    const { warnings } = await describeFiles({ "a.safetensors": pointer, "b.gguf": pointer });
    expect(warnings).toEqual([expect.stringMatching(/"a.safetensors" and 1 more.*git lfs pull/)]);
  });

  test("but a file that cannot be read any more is SOURCE_UNREADABLE", async () => {
    await writeTree(folder.path, { "config.json": "{}" });
    const source = await listDirectory(folder.path);
    await rm(join(folder.path, "config.json"));
    await expect(describeModel(source)).rejects.toMatchObject({
      code: "SOURCE_UNREADABLE",
      message: expect.stringContaining("config.json"),
    });
  });

  test("a file that shrank since it was listed", async () => {
    await writeTree(folder.path, { "model.safetensors": makeSafetensors([bf16("a", 100)]) });
    const source = await listDirectory(folder.path);
    await truncate(join(folder.path, "model.safetensors"), 30);
    expect(await describeModel(source)).toMatchObject({
      annotations: { "dev.ballast.model.format": "safetensors" },
    });
  });

  test("whatever bytes stand in the files", async () => {
    const names = [
      "README.md",
      "config.json",
      "model.safetensors",
      "x.gguf",
      "model.safetensors.index.json",
    ];
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.json().map((text) => Buffer.from(text)),
      fc.string().map((text) => Buffer.from(`---\n${text}\n---\n`)),
      fc.json().map((text) => frameSafetensors(text, Buffer.alloc(0))),
      fc.uint8Array().map((bytes) => Buffer.concat([Buffer.from("GGUF\x03\0\0\0"), bytes])),
    );
    await fc.assert(
      fc.asyncProperty(fc.tuple(...names.map(() => content)), async (contents) => {
        for (const [at, name] of names.entries())
          await writeFile(join(folder.path, name), contents[at] ?? "");
        const { annotations } = await describeModel(await listDirectory(folder.path));
        for (const value of Object.values(annotations))
          expect(value).toMatch(/^[^\p{Cc}]{1,512}$/u);
      }),
      { numRuns: 200 },
    );
  });
});

/** Each line doubles the one before: YAML's way to a billion laughs. */
function aliasBomb(lines: number): string {
  const names = Array.from({ length: lines }, (_, at) => String.fromCharCode(97 + at));
  return names
    .slice(1)
    .map((name, at) => `${name}: &${name} [${Array<string>(9).fill(`*${names[at]}`).join(",")}]`)
    .join("\n");
}
