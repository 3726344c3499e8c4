import { describe, expect, test } from "vitest";
import { describeCard } from "../../src/pack/metadata/model-card.ts";
import { toAnnotations } from "../../src/pack/metadata/model-facts.ts";
import { precisionOf } from "../../src/pack/metadata/precision.ts";

describe("a card", () => {
  const read = async (yaml: string) =>
    (await describeCard(`---\n${yaml}\n---\n`, "README.md")).facts;

  test.each([
    ["license: mit", { licenses: "mit" }],
    ["license: [mit, apache-2.0]", { licenses: "mit AND apache-2.0" }],
    ["license: other\nlicense_name: llama3.1", { licenses: "llama3.1" }],
    ["license: other", { licenses: "other" }],
    ["license: 7\nbase_model: {a: b}", {}],
    ["base_model:\n- org/a\n- org/b", { base: "org/a,org/b" }],
    ["base_model: []", {}],
    ["model_name: Tiny", { title: "Tiny" }],
    ["license: mit\nlicense: bsd", { licenses: "bsd" }],
    ["__proto__: {license: mit}", {}],
    ["# only a comment", {}],
  ])("that says %j is read as %j", async (yaml, facts) => {
    expect(await read(yaml)).toEqual(facts);
  });

  test.each([
    ["a byte order mark", "\uFEFF---\nlicense: mit\n---\n", { licenses: "mit" }],
    ["Windows lines", "---\r\nlicense: mit\r\n---\r\ntext", { licenses: "mit" }],
    ["nothing behind", "---\nlicense: mit\n---", { licenses: "mit" }],
    ["no end", "---\nlicense: mit\n", {}],
    ["text before", "\n---\nlicense: mit\n---\n", {}],
  ])("may have %s", async (_, text, facts) => {
    expect(await describeCard(text, "README.md")).toEqual({ facts, warnings: [] });
  });
});

describe("annotation values", () => {
  const title = (text: string) => toAnnotations({ title: text })["org.opencontainers.image.title"];

  test("are one short line without control characters", () => {
    expect(title(" a\r\n\tb\u0000\u001b[31mc\u2028d ")).toBe("a b [31mc d");
    expect(title("\u0007")).toBeUndefined();
    expect(title("x".repeat(10_000))).toHaveLength(512);
    expect(title(`${"x".repeat(511)}😀`)).toBe("x".repeat(511));
    expect(title("a\ud800b")).toBe("a\ufffdb");
  });

  test.each([
    ["BF16", "bf16"],
    ["torch.bfloat16", "bf16"],
    ["float16", "fp16"],
    ["F8_E4M3", "fp8"],
    ["float8_e5m2", "fp8"],
    ["I8", "int8"],
    ["uint8", "uint8"],
    ["BOOL", "bool"],
    ["Q4_K", "q4_k"],
  ])("name the precision of %s as %s", (dtype, word) => {
    expect(precisionOf(dtype)).toBe(word);
  });
});
