import { partName } from "../../names.ts";
import { type ClusterFacts, type Workload, workloadOf } from "../facts/cluster-facts.ts";
import { type Finding, failed, ok, someOf, unseen, warning } from "../finding.ts";
import { installCommand } from "./install-command.ts";

interface Part {
  readonly role: string;
  readonly kind: "DaemonSet" | "Deployment";
  /** What does not work without it; of a part that may be left out. */
  readonly without?: string;
}

const parts: readonly Part[] = [
  { role: "agent", kind: "DaemonSet" },
  { role: "csi", kind: "DaemonSet" },
  { role: "reporter", kind: "DaemonSet", without: "schedulers know of no model" },
  {
    role: "controller",
    kind: "Deployment",
    without: "labels of dead nodes stay, and claims get no volume",
  },
  {
    role: "webhook",
    kind: "Deployment",
    without: "tags are not pinned, and pods prefer no node",
  },
];

/** Whether the parts run, all of them, and in one version. */
export function checkWorkloads(facts: ClusterFacts): Finding[] {
  const { workloads, namespace } = facts;
  if (workloads.refused !== undefined)
    return [unseen("parts", `DaemonSets and Deployments of ${namespace}`, workloads)];
  return [...parts.map((part) => checkPart(part, facts)), ...checkVersions(facts)];
}

function checkPart({ role, kind, without }: Part, facts: ClusterFacts): Finding {
  const { namespace } = facts;
  const workload = workloadOf(facts, role);
  const fix = installCommand(namespace);
  const part = `${kind} ${partName(role)}`;
  if (workload === undefined && without === undefined)
    return failed(role, `there is no ${part}`, fix);
  if (workload === undefined) return warning(role, `there is no ${part}: ${without}`, fix);
  const { wanted, ready, updated } = countsOf(workload, kind);
  const look = `kubectl -n ${namespace} describe ${kind.toLowerCase()} ${partName(role)}`;
  if (wanted === 0) return warning(role, `${part} wants no pod: no node is chosen by it`, look);
  if (ready < wanted)
    return failed(
      role,
      `${ready} of ${wanted} pods of ${part} are ready${whyNot(role, facts)}`,
      `kubectl -n ${namespace} describe pods -l app.kubernetes.io/component=${role}`,
    );
  if (updated < wanted)
    return warning(
      role,
      `${wanted - updated} of ${wanted} pods of ${part} are of an older version`,
      `kubectl -n ${namespace} rollout status ${kind.toLowerCase()}/${partName(role)}`,
    );
  return ok(role, `${wanted} of ${wanted} pods are ready`);
}

function countsOf({ spec, status }: Workload, kind: Part["kind"]) {
  if (kind === "DaemonSet")
    return {
      wanted: status?.desiredNumberScheduled ?? 0,
      ready: status?.numberReady ?? 0,
      updated: status?.updatedNumberScheduled ?? 0,
    };
  const wanted = spec.replicas ?? 1;
  return { wanted, ready: status?.readyReplicas ?? 0, updated: wanted };
}

/** What the Events say of a part that is not ready, with the next step where they name the kubelet's folder. */
function whyNot(role: string, { events }: ClusterFacts): string {
  const own = (events.value ?? []).filter(
    ({ type, involvedObject }) =>
      type === "Warning" && (involvedObject?.name ?? "").startsWith(partName(role)),
  );
  const message = own.at(-1)?.message;
  if (message === undefined) return "";
  const root = /hostPath type check failed: (\S*(?:plugins_registry|\/pods)\b)/.exec(message)?.[1];
  return root === undefined
    ? `: ${message}`
    : `: ${root} is not there, so the kubelet's folder is another one (--set kubeletRoot=DIR)`;
}

function checkVersions({ workloads, reports, programVersion, namespace }: ClusterFacts): Finding[] {
  const versions = new Map<string, string[]>();
  const note = (version: string, who: string) =>
    versions.set(version, [...(versions.get(version) ?? []), who]);
  for (const { metadata, spec } of workloads.value ?? [])
    if (parts.some(({ role }) => metadata.name === partName(role)))
      for (const { image = "" } of spec.template.spec.containers.slice(0, 1))
        note(image, metadata.name ?? "");
  if (versions.size > 1) {
    const told = [...versions].map(([image, who]) => `${who.join(" and ")}: ${image}`).join("; ");
    return [
      warning("versions", `the parts are of different images (${told})`, installCommand(namespace)),
    ];
  }
  const older = (reports.value ?? []).filter(
    ({ status }) => status?.agentVersion !== undefined && status.agentVersion !== programVersion,
  );
  if (older.length > 0) {
    const names = older.map(({ metadata, status }) => `${metadata.name} ${status?.agentVersion}`);
    return [
      warning(
        "versions",
        `agents are of another version than this program, ${programVersion}: ${someOf(names)}`,
        "bring both to one version: the chart first, then this program",
      ),
    ];
  }
  return versions.size === 0 ? [] : [ok("versions", "all parts are of one image")];
}
