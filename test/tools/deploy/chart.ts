import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Document, parseDocument } from "yaml";
import { toolPath } from "../../support/programs.ts";

/** Where the chart lies in the repository. */
export const chartFolder = "deploy/helm/ballast";

/** An object of the chart, and the file of the chart that it comes from, without its folder. */
export interface ChartObject {
  readonly file: string;
  /** With its comments. */
  readonly document: Document;
}

/** Renders the chart without hooks, of Kubernetes 1.36, its CRDs first. */
export async function renderChart(
  repository: string,
  values: Readonly<Record<string, string>>,
): Promise<ChartObject[]> {
  const args = ["template", "ballast", join(repository, chartFolder), "--namespace=ballast-system"];
  const set = Object.entries(values).map(([key, value]) => `--set=${key}=${value}`);
  // The schema is made of the values; it may be behind them.
  const flags = [
    "--include-crds",
    "--no-hooks",
    "--kube-version=1.36.0",
    "--skip-schema-validation",
  ];
  const { stdout } = await promisify(execFile)(toolPath("helm"), [...args, ...flags, ...set], {
    maxBuffer: 67_108_864,
  });
  return stdout.split(/^---\n/m).flatMap((text) => {
    const [, path, rest = ""] = /^# Source: ballast\/(\S+)\n([^]*)$/.exec(text) ?? [];
    if (path === undefined) return [];
    const document = parseDocument(rest);
    if (document.errors[0] !== undefined) throw document.errors[0];
    const file = path.slice(path.lastIndexOf("/") + 1);
    return document.contents === null ? [] : [{ file, document }];
  });
}
