import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { describe, expect, test } from "vitest";
import { parseDocument } from "yaml";
import { configSchema } from "../../src/agent/config.ts";
import { schemaKeys } from "../architecture/schema-keys.ts";
import { describeValues } from "../tools/deploy/values-schema.ts";
import { tabulateValues } from "../tools/deploy/values-table.ts";

const file = join(import.meta.dirname, "../../deploy/helm/ballast/values.yaml");
const chart = parseDocument(await readFile(file, "utf8"));
const compile = (yaml: string) => describeValues(parseDocument(yaml));

describe("the schema of a values.yaml", () => {
  test("has types by the defaults, descriptions by the comments, and takes no other key", () => {
    const { properties } = compile("# What\n# it is.\na:\n  # One.\n  b: 10%\n  # Two.\n  c: {}\n");
    expect(properties?.["a"]).toEqual({
      description: "What it is.",
      type: "object",
      additionalProperties: false,
      properties: {
        b: { description: "One.", type: ["integer", "string"] },
        c: { description: "Two.", type: "object" },
      },
    });
  });

  test("is not made while a value has no comment", () => {
    expect(() => compile("# A.\na:\n  b: 1\n")).toThrow(/a\.b has no comment/);
  });

  test("shows in a table what is no group, with its default", () => {
    const values = parseDocument('# A.\na:\n  # B | C.\n  b: [x]\n  # D.\n  d: ""\n');
    expect(tabulateValues(describeValues(values), values.toJS()).split("\n").slice(2)).toEqual([
      '| `a.b` | `["x"]` | B \\| C. |',
      "| `a.d` | - | D. |",
    ]);
  });
});

describe("the schema of the chart", () => {
  const validate = new Ajv2020({ allowUnionTypes: true }).compile(describeValues(chart));
  const withValue = (path: readonly string[], value: unknown) => {
    const changed = chart.clone();
    changed.setIn(path, value);
    return changed.toJS();
  };

  test("takes the chart's own values", () => {
    expect(validate(chart.toJS())).toBe(true);
  });

  test("takes every key of an agent.yaml", () => {
    const keys = schemaKeys(configSchema).map((key) => key.split("."));
    const known = keys.filter((path) => chart.getIn(["agent", "config", ...path]) === undefined);
    expect(known.length).toBeGreaterThan(5);
    for (const path of known) {
      const value = path[0] === "network" ? ["10.0.0.0/8"] : 1;
      expect(validate(withValue(["agent", "config", ...path], value))).toBe(true);
    }
  });

  test.each([
    ["a key that is not there", ["agent", "confg"], {}],
    ["a key that no agent.yaml has", ["agent", "config", "store", "hihgBytes"], 1],
    ["a relative path", ["storePath"], "var/lib/ballast"],
    ["a path that ends in a slash", ["kubeletRoot"], "/var/lib/kubelet/"],
    ["a path that a shell would take apart", ["runPath"], "/run/my ballast"],
    ["a word for a number", ["nodes", "criticalPodsQuota"], "many"],
    ["a digest that is none", ["image", "digest"], "sha256:12"],
    ["a tag in the repository", ["image", "repository"], "registry.example.com/ballast:v1"],
    ["a policy that is none", ["image", "pullPolicy"], "Sometimes"],
  ])("refuses %s", (_, path, value) => {
    expect(validate(withValue(path, value))).toBe(false);
  });

  test.each([
    ["a registry with a port", ["image", "repository"], "registry.example.com:5000/infra/ballast"],
    ["a number of nodes", ["nodes", "maxUnavailable"], 1],
    ["labels of any name", ["nodes", "nodeSelector"], { gpu: "yes" }],
    ["what a bigger chart gives to all", ["global"], { any: 1 }],
  ])("takes %s", (_, path, value) => {
    expect(validate(withValue(path, value))).toBe(true);
  });
});
