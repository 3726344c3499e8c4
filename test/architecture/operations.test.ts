import { describe, expect, test } from "vitest";
import { createAudit } from "../../src/agent/access/audit.ts";
import type { StatusDocument } from "../../src/agent/api/documents.ts";
import { configSchema, defaultConfig } from "../../src/agent/config.ts";
import { createMetrics } from "../../src/agent/metrics.ts";
import { codesIn, findTable, firstCodes } from "./document-tables.ts";
import { schemaKeys } from "./schema-keys.ts";
import { readDocument, readTree } from "./tree.ts";

const document = await readDocument("docs/operations.md");

describe("docs/operations.md", () => {
  test("has a row for every key of agent.yaml, and for no other", () => {
    const { rows } = findTable(document, "key", "default", "meaning");
    const keys = rows.flatMap(([key = ""]) => codesIn(key));
    expect(keys.toSorted()).toEqual(schemaKeys(configSchema));
  });

  test("tells the default of each key", () => {
    const { rows } = findTable(document, "key", "default", "meaning");
    const told = rows.map(([key = "", value = ""]) => [
      codesIn(key)[0],
      codesIn(value)[0] ?? value,
    ]);
    expect(told).toEqual(told.map(([key]) => [key, defaultOf(key ?? "")]));
  });

  test("has a row for every metric, with its type", async () => {
    const { rows } = findTable(document, "name", "type", "labels", "meaning");
    const told = rows.map(([name = "", type]) => `${codesIn(name)[0]} ${type}`);
    expect(told.toSorted()).toEqual((await metricNames()).toSorted());
  });

  test("has a row for every event that an agent logs", async () => {
    const sources = await readTree("src/agent/**/*.ts", "src/cli/commands/agent.ts");
    const logged = [...sources.values()].flatMap((source) =>
      [...source.matchAll(/\blog\(\s*"([^"]+)"|\bevent: "([^"]+)"/g)].flatMap(
        ([, event, written]) => event ?? written ?? [],
      ),
    );
    expect(logged.length).toBeGreaterThan(5);
    const told = firstCodes(findTable(document, "event of the agent"));
    expect(told.toSorted()).toEqual([...new Set(logged)].toSorted());
  });

  test("has a row for every field of the audit line", () => {
    const lines: string[] = [];
    const facts = { repository: "registry.example.com/team/model", version: "v1" };
    createAudit((line) => lines.push(line))({
      ...facts,
      subject: { namespace: "a", pod: "b", uid: "c", serviceAccount: "d" },
      digest: "sha256:0",
      verdict: "allowed",
      why: "registry",
    });
    const { time: _time, event: _event, ...fields } = JSON.parse(lines[0] ?? "{}");
    expect(firstCodes(findTable(document, "field", "meaning"))).toEqual(Object.keys(fields));
  });
});

/** As the table writes it: `-` where nothing is set. */
function defaultOf(key: string): string {
  const value = key
    .split(".")
    .reduce<unknown>((at, name) => Reflect.get(Object(at), name), defaultConfig());
  return value === undefined ? "-" : JSON.stringify(value);
}

/** `name type` of each metric; counters by the name that their samples have. */
async function metricNames(): Promise<string[]> {
  const { text } = await createMetrics().describe({ read: async () => emptyStatus });
  const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)];
  return types.map(([, name, type]) => `${name}${type === "counter" ? "_total" : ""} ${type}`);
}

const emptyStatus: StatusDocument = {
  version: "",
  startedAt: "",
  store: {
    root: "",
    bytes: 0,
    freeBytes: 0,
    totalBytes: 0,
    watermarks: { highBytes: null, lowBytes: null, lowFreeBytes: null, highFreeBytes: null },
  },
  models: [],
};
