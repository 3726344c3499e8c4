import { resolve } from "node:path";
import { defaultNamespace } from "../../src/kubernetes/names.ts";
import { chartFolder } from "../tools/deploy/chart.ts";
import type { ControlPlane } from "./control-plane.ts";

/** The Helm chart. */
export const chart: string = resolve(import.meta.dirname, "../..", chartFolder);

/** Applies these templates of the chart, by the names of their files, in the namespace that must be there. */
export async function applyTemplates(
  plane: ControlPlane,
  templates: readonly string[],
  flags: readonly string[] = [],
): Promise<void> {
  const shown = templates.map((name) => `--show-only=templates/${name}.yaml`);
  const namespace = `--namespace=${defaultNamespace}`;
  await plane.apply(
    await plane.helm(["template", "ballast", chart, namespace, ...shown, ...flags]),
  );
}
