import { describe, expect, test } from "vitest";
import { parseFile } from "../support/examples/files.ts";
import { checkFolders } from "../support/examples/folders.ts";
import { checkPipeline } from "../support/examples/pipelines.ts";
import { formatFault } from "../support/examples/problem.ts";
import { validateValues } from "../support/examples/values.ts";

const pod = "apiVersion: v1\nkind: Pod\n";
const kustomization = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - pod.yaml
`;
const folder = {
  "a/README.md": "# A\n",
  "a/kustomization.yaml": kustomization,
  "a/pod.yaml": pod,
};

function check(files: Readonly<Record<string, string>>): string[] {
  const parsed = Object.entries(files).map(([file, text]) => parseFile(file, text).file);
  return checkFolders(parsed).map(formatFault);
}

describe("a folder of examples", () => {
  test("passes with a README and a kustomization that names its files", () => {
    expect(check(folder)).toEqual([]);
  });

  test.each([
    ["no README", { "a/README.md": undefined }, "a: has no README.md"],
    [
      "a file that is not named",
      { "a/other.yaml": pod },
      "a/other.yaml: the kustomization beside it does not name it",
    ],
    [
      "a file that is not there",
      { "a/pod.yaml": undefined },
      "a/kustomization.yaml: there is no a/pod.yaml",
    ],
    [
      "a field that is none",
      { "a/kustomization.yaml": kustomization.replace("resources", "resource") },
      "a/kustomization.yaml: resource: unknown field resource, did you mean resources?",
    ],
    [
      "another version",
      { "a/kustomization.yaml": kustomization.replace("v1beta1", "v1") },
      "a/kustomization.yaml: apiVersion: is not kustomize.config.k8s.io/v1beta1",
    ],
  ])("does not pass with %s", (_, changes, why) => {
    const changed = Object.entries<string | undefined>({ ...folder, ...changes });
    const kept = changed.flatMap(([file, text]) => (text === undefined ? [] : [[file, text]]));
    expect(check(Object.fromEntries(kept))).toContain(why);
  });
});

test.each([
  ["a key twice", "a: 1\na: 2\n", "Map keys must be unique"],
  ["no end", "a: [1\n", "Flow sequence"],
  ["nothing", "---\n---\na: 1\n", "a document in it is empty"],
])("a YAML file with %s is not read", (_, text, why) => {
  expect(parseFile("a.yaml", text).faults).toContainEqual(
    expect.objectContaining({ file: "a.yaml", problem: expect.stringContaining(why) }),
  );
});

describe("a pipeline", () => {
  const workflow = { on: {}, jobs: { push: { "runs-on": "x", steps: [{ run: "true" }] } } };

  test("passes in its form", () => {
    expect(checkPipeline("x/.github/workflows/a.yml", workflow)).toEqual([]);
    expect(checkPipeline("x/.gitlab-ci.yml", { stages: [], push: { script: ["true"] } })).toEqual(
      [],
    );
  });

  test.each([
    ["no trigger", { jobs: workflow.jobs }, "on: is missing"],
    [
      "no runner",
      { on: {}, jobs: { push: { steps: [{ run: "x" }] } } },
      "jobs.push.runs-on: is missing",
    ],
    [
      "a step that does nothing",
      { on: {}, jobs: { push: { "runs-on": "x", steps: [{ name: "x" }] } } },
      "jobs.push.steps[0]: needs uses or run, and one of them",
    ],
    [
      "an unknown field",
      { on: {}, jobs: { push: { "run-on": "x", steps: [{ run: "x" }] } } },
      "jobs.push.run-on: unknown field run-on, did you mean runs-on?",
    ],
  ])("of GitHub does not pass with %s", (_, document, why) => {
    const problems = checkPipeline("x/.github/workflows/a.yml", document);
    expect(problems.map(({ path, problem }) => `${path}: ${problem}`)).toContain(why);
  });

  test("of GitLab does not pass without a script", () => {
    expect(checkPipeline(".gitlab-ci.yml", { push: { scripts: [] } })).toEqual([
      { path: "push.scripts", problem: "unknown field scripts, did you mean script?" },
      { path: "push.script", problem: "is missing" },
    ]);
  });
});

test("values of a chart are held to its schema", () => {
  const schema = {
    type: "object",
    additionalProperties: false,
    properties: { size: { type: "string" } },
  };
  expect(validateValues(schema, { size: "1Gi" })).toEqual([]);
  expect(validateValues(schema, { sise: "1Gi" })).toEqual([
    { path: "", problem: "unknown field sise, did you mean size?" },
  ]);
  expect(validateValues(schema, { size: 1 })).toEqual([
    { path: "size", problem: "must be string" },
  ]);
});
