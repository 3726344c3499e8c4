import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { appliedPaths, checkExamples, objectsOf } from "../support/examples/check.ts";
import { type ExampleFile, parseFile, readExamples } from "../support/examples/files.ts";
import { formatFault } from "../support/examples/problem.ts";

const repository = join(import.meta.dirname, "../..");
const { files, faults: unread } = await readExamples(join(repository, "examples"));

async function check(changed: readonly ExampleFile[]): Promise<string[]> {
  const means = { custom: undefined, definitions: undefined, chart: repository };
  return (await checkExamples(changed, means)).faults.map(formatFault);
}

/** The examples with one text replaced in one file. */
function change(file: string, from: string, to: string): ExampleFile[] {
  return files.map((each) => {
    if (each.file !== file) return each;
    expect(each.text).toContain(from);
    return parseFile(file, each.text.replace(from, to)).file;
  });
}

describe("examples/", () => {
  test("is as the checks want it, as far as they go without definitions", async () => {
    expect(unread).toEqual([]);
    expect(await check(files)).toEqual([]);
    expect(objectsOf(files).length).toBeGreaterThan(50);
  });

  test.each([
    [
      "vllm/deployment.yaml",
      "readOnly: true\n            volumeAttributes",
      "volumeAttributes",
      "vllm/deployment.yaml: Deployment qwen: spec.template.spec.volumes[0].csi.readOnly: is not true: models are read-only",
    ],
    [
      "kubeai/model.yaml",
      "pvc://qwen-kubeai",
      "pvc://qwen",
      "kubeai/model.yaml: Model qwen: spec.url: unknown claim qwen, there is qwen-kubeai",
    ],
    [
      "jobset/evaluation.yaml",
      "name: regcred",
      "name: regcred\n                volume: x",
      "document 1",
    ],
    ["init-container/deployment.yaml", "--output=/models", "--out=/models", "unknown option --out"],
    [
      "push-job/README.md",
      "`--base`",
      "`ballast push x --bse y`",
      "unknown option --bse, did you mean --base?",
    ],
    ["kuberay/kustomization.yaml", "ray-service", "service", "there is no kuberay/service.yaml"],
  ])("would not pass with a fault in %s", async (file, from, to, why) => {
    const changed = change(file, from, to);
    const broken = changed.find((each) => each.file === file);
    const found = await check(changed);
    const syntax = parseFile(file, broken?.text ?? "").faults.map(formatFault);
    expect([...found, ...syntax]).toContainEqual(expect.stringContaining(why));
  });

  test("has READMEs that apply what is there", () => {
    const paths = appliedPaths(files);
    expect(paths.length).toBeGreaterThan(20);
    const missing = paths.filter(({ path }) => !existsSync(join(repository, path)));
    expect(missing).toEqual([]);
  });
});
