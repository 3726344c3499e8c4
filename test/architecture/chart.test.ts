import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { codesIn, findTable, firstCodes, readTables } from "./document-tables.ts";
import { readDocument } from "./tree.ts";

const operations = await readDocument("docs/operations.md");
const alerts = await readDocument("deploy/helm/ballast/files/alerts.yaml");
const dashboard = await readDocument("deploy/helm/ballast/files/dashboard.json");

/** Names of metrics that docs/operations.md lists; a test of it holds them against the code. */
const documented = new Set(
  readTables(operations).flatMap(({ header, rows }) =>
    header.includes("type") ? rows.flatMap(([name = ""]) => codesIn(name)) : [],
  ),
);

/** Metrics of ours in queries; parts of a histogram by the histogram's name. */
function metricsIn(text: string): string[] {
  const names = text.match(/\bballast_\w+/g) ?? [];
  return [...new Set(names.map((name) => name.replace(/_(?:bucket|sum|count)$/, "")))];
}

describe("the chart", () => {
  test.each([
    ["alerts", alerts],
    ["the dashboard", dashboard],
  ])("asks in %s for metrics that there are", (_, text) => {
    expect(metricsIn(text).length).toBeGreaterThan(3);
    expect(metricsIn(text).filter((name) => !documented.has(name))).toEqual([]);
  });

  test("has its alerts in docs/operations.md, and no other is there", () => {
    const { groups } = parse(alerts);
    const names = groups.flatMap(({ rules }: { rules: { alert: string }[] }) =>
      rules.map(({ alert }) => alert),
    );
    expect(firstCodes(findTable(operations, "alert", "means", "do"))).toEqual(names);
  });

  test("gives each panel of the dashboard a place of its own and a query", () => {
    const { panels } = JSON.parse(dashboard);
    const places = panels.map(({ gridPos }: { gridPos: { x: number; y: number } }) =>
      [gridPos.x, gridPos.y].join(),
    );
    expect(new Set(places).size).toBe(panels.length);
    const idle = panels.filter(({ targets }: { targets: { expr: string }[] }) =>
      targets.every(({ expr }) => metricsIn(expr).length === 0),
    );
    expect(idle).toEqual([]);
  });
});
