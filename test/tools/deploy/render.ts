import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Document, isMap, parseDocument } from "yaml";
import { chartFolder, renderChart } from "./chart.ts";
import { renderComponent, renderKustomizations } from "./kustomize.ts";
import { describeValues } from "./values-schema.ts";
import { tabulateValues } from "./values-table.ts";

const valuesHeading = "## Values\n\n";

/** Everything that is made of the chart, by its path in the repository. Runs Helm; writes nothing. */
export async function renderDeploy(repository: string): Promise<Map<string, string>> {
  const read = (path: string) => readFile(join(repository, chartFolder, path), "utf8");
  const values = parseDocument(await read("values.yaml"));
  const schema = describeValues(values);
  const readme = await read("README.md");
  const [head = ""] = readme.split(valuesHeading);
  const table = tabulateValues(schema, values.toJS());
  const chosen = { "namespace.create": "true", "image.tag": "dev" };
  const objects = await renderChart(repository, chosen);
  const unprivileged = await renderChart(repository, {
    ...chosen,
    "csi.privilege": "capabilities",
  });
  return new Map([
    [`${chartFolder}/values.schema.json`, printJson(schema)],
    [`${chartFolder}/README.md`, `${head}${valuesHeading}${table}\n`],
    ...renderKustomizations(objects, agentYaml(values)),
    ...renderComponent(unprivileged),
  ]);
}

/** `agent.config` as a file of its own, with its comments. */
function agentYaml(values: Document): string {
  const config = values.getIn(["agent", "config"]);
  if (!isMap(config)) throw new Error("values.yaml has no agent.config");
  const document = new Document(config);
  return document.toString({ lineWidth: 0 });
}

/** As this repository formats JSON: lists of plain values on one line. */
function printJson(value: object): string {
  const text = JSON.stringify(value, null, 2);
  const flat = text.replace(/\[\s+((?:(?:"[^"]*"|true|false),?\s+)+)\]/g, (_, items: string) => {
    return `[${items.trim().replace(/,\s+/g, ", ")}]`;
  });
  return `${flat}\n`;
}
