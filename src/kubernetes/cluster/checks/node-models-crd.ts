import { nodeModelsApi, nodeModelsCrd } from "../../node-models.ts";
import type { ClusterFacts, Schema } from "../facts/cluster-facts.ts";
import { type Finding, failed, ok, someOf, unseen } from "../finding.ts";
import { installCommand } from "./install-command.ts";

const check = "CRD nodemodels";
const version = nodeModelsApi;
const fields: readonly string[] = [
  "reportedAt",
  "agentReady",
  "agentVersion",
  "store.bytes",
  "store.capacityBytes",
  "readyModels",
  "omitted",
  ...["digest", "state", "bytes", "totalBytes", "bytesPerSecond", "pinned", "mounts"].map(
    (name) => `models.${name}`,
  ),
];

/** Whether the API server keeps what reporters write: fields that a CRD does not have, it drops. */
export function checkNodeModelsCrd({ crd, namespace }: ClusterFacts): Finding[] {
  if (crd.refused !== undefined) return [unseen(check, `CRD ${nodeModelsCrd}`, crd)];
  const fix = installCommand(namespace);
  const definition = crd.value;
  if (definition === undefined)
    return [
      failed(check, `there is no CRD ${nodeModelsCrd}: reporters have nowhere to report`, fix),
    ];
  const conditions = definition.status?.conditions ?? [];
  const established = conditions.find(({ type }) => type === "Established");
  if (established?.status !== "True") {
    const why = conditions.find(({ status, type }) => status === "False" && type !== "Terminating");
    const said = why?.message === undefined ? "" : `: ${why.message}`;
    return [failed(check, `the API server does not serve ${nodeModelsCrd}${said}`, fix)];
  }
  const served = definition.spec.versions.find((each) => each.name === version && each.served);
  if (served === undefined)
    return [failed(check, `${nodeModelsCrd} has no version ${version}`, fix)];
  if (served.subresources?.status === undefined)
    return [failed(check, `${nodeModelsCrd} has no status subresource`, fix)];
  const status = served.schema?.openAPIV3Schema?.properties?.["status"];
  const missing = fields.filter((path) => !hasField(status, path.split(".")));
  if (missing.length > 0)
    return [
      failed(check, `${nodeModelsCrd} is of another version: it drops ${someOf(missing)}`, fix),
    ];
  return [ok(check, `${nodeModelsCrd} ${version} has all fields`)];
}

function hasField(schema: Schema | undefined, [name = "", ...rest]: readonly string[]): boolean {
  const field = (schema?.items ?? schema)?.properties?.[name];
  return field !== undefined && (rest.length === 0 || hasField(field, rest));
}
