import { describe, expect, test } from "vitest";
import { codesIn, findTable, firstCodes } from "./document-tables.ts";
import { readDocument, readTree } from "./tree.ts";

const document = await readDocument("docs/operations.md");

/** The source text of each part that runs in a cluster with a token. */
const roles = new Map<string, string>();
for (const role of ["reporter", "controller", "webhook"]) {
  const sources = await readTree(`src/kubernetes/${role}/**/*.ts`, `src/cli/commands/${role}.ts`);
  if (sources.size > 0) roles.set(role, [...sources.values()].join("\n"));
}

/** `name type` of each metric; counters by the name that their samples have. */
function metricsIn(source: string): string[] {
  const made = source.matchAll(/new (Counter|Gauge|Histogram)(?:<[^>]*>)?\(\{\s*name: "(\w+)"/g);
  return [...made].map(([, type = "", name = ""]) =>
    type === "Counter" ? `${name}_total counter` : `${name} ${type.toLowerCase()}`,
  );
}

/** Every event that is written out where it is logged. */
function eventsIn(source: string): string[] {
  const calls = [...source.matchAll(/\blog\(\s*([^,)]+)/g)];
  const texts = calls.flatMap(([, first = ""]) => first.match(/"[^"]+"/g) ?? []);
  return [...new Set(texts.map((text) => text.slice(1, -1)))];
}

describe("docs/operations.md", () => {
  test("has a row for every metric of reporter, controller and webhook, with its type", () => {
    for (const [role, source] of roles) {
      const { rows } = findTable(document, `metric of the ${role}`, "type", "labels", "meaning");
      const told = rows.map(([name = "", type]) => `${codesIn(name)[0]} ${type}`);
      expect(told.toSorted()).toEqual(metricsIn(source).toSorted());
      expect(told.length).toBeGreaterThan(0);
    }
  });

  test("has a row for every event that reporter, controller and webhook log", () => {
    for (const [role, source] of roles) {
      const told = firstCodes(findTable(document, `event of the ${role}`));
      expect(eventsIn(source).filter((event) => !told.includes(event))).toEqual([]);
      expect(eventsIn(source).length).toBeGreaterThan(2);
    }
  });
});
