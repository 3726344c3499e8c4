import type { ControlPlane } from "./control-plane.ts";
import { type Manifest, parseManifests } from "./manifests.ts";

/**
 * What a real API server finds wrong with these objects, a line each: unknown fields, wrong types, what
 * its validation and Pod Security say, warnings. Pods are judged too that the objects would have made.
 * Of the objects namespaces and ServiceAccounts stay, as the others need them; the rest is a dry run.
 */
export async function judge(plane: ControlPlane, yaml: string): Promise<string[]> {
  const objects = parseManifests(yaml);
  const grounds = objects.filter(({ kind }) => kind === "Namespace" || kind === "ServiceAccount");
  const spaces = new Set(objects.flatMap(({ metadata }) => metadata.namespace ?? []));
  const faults = await applyAll(plane, grounds);
  for (const space of spaces) await untilPodsMayCome(plane, space);
  faults.push(...(await apply(plane, yaml, dryRun)));
  faults.push(...(await applyAll(plane, objects.flatMap(podsOf), dryRun)));
  return faults;
}

const dryRun = ["--dry-run=server"];

async function applyAll(
  plane: ControlPlane,
  items: readonly Manifest[],
  flags: readonly string[] = [],
): Promise<string[]> {
  const list = { apiVersion: "v1", kind: "List", items };
  return items.length === 0 ? [] : apply(plane, JSON.stringify(list), flags);
}

/** What kubectl says on standard error while it applies, a line each. */
async function apply(
  plane: ControlPlane,
  input: string,
  flags: readonly string[] = [],
): Promise<string[]> {
  const args = ["apply", "--validate=strict", "--warnings-as-errors", ...flags, "-f", "-"];
  try {
    await plane.kubectl(args, { input });
    return [];
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const [, said = error.message] = error.message.split(" -f -: ");
    return said.split("\n").filter((line) => line !== "");
  }
}

/** A pod needs the account that its namespace is given a moment later. */
async function untilPodsMayCome(plane: ControlPlane, space: string): Promise<void> {
  const flags = ["--for=create", "serviceaccount/default", `--namespace=${space}`, "--timeout=60s"];
  await plane.kubectl(["wait", ...flags]);
}

function podsOf({ kind, metadata, spec }: Manifest): Manifest[] {
  if (kind !== "DaemonSet" && kind !== "Deployment") return [];
  const { template } = spec;
  const { name, namespace } = metadata;
  return [
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { ...template.metadata, name: `${name}-pod`, namespace },
      spec: template.spec,
    },
  ];
}
