import type { Digest } from "../../core/digest.ts";
import type { Lease, Node } from "../api/objects.ts";
import { labelKey, labelValue } from "../names.ts";
import type { NodeModel, NodeModels } from "../node-models.ts";
import { isReady, nameOf } from "./facts/cluster-nodes.ts";
import type { Known } from "./facts/known.ts";
import { liveReporters } from "./facts/reporter-life.ts";

/** What a node has of a model. What could not be looked at is undefined. */
export interface NodeLocation {
  readonly node: string;
  readonly state: NodeModel["state"];
  readonly bytes: number;
  readonly totalBytes: number | undefined;
  readonly bytesPerSecond: number | undefined;
  readonly pinned: boolean;
  /** Volumes that show it. */
  readonly mounts: number;
  /** When the node said so, by its clock. */
  readonly reportedAt: string;
  readonly ageSeconds: number;
  /** Whether the node has the label that schedulers look at. */
  readonly labelled: boolean | undefined;
  readonly nodeReady: boolean | undefined;
  readonly reporterAlive: boolean | undefined;
}

/** Where a model is in a cluster, warm nodes first. */
export interface ModelLocations {
  readonly reference: string;
  readonly digest: Digest;
  /** Of nodes that have it. */
  readonly label: string;
  readonly nodes: readonly NodeLocation[];
  readonly counts: {
    /** All of it is there, the reporter alive and the node ready, as far as it is known. */
    readonly warm: number;
    readonly pulling: number;
    /** A part, a failed pull, or a node that is not well. */
    readonly other: number;
    /** Nodes that report and have nothing of it. */
    readonly without: number;
    /** Nodes that do not report. */
    readonly silent: number;
  };
  /** Nodes that have the label and report no such model: something is wrong there. */
  readonly wrongLabels: readonly string[];
  /** In one sentence. */
  readonly summary: string;
  readonly next: string | undefined;
}

/** What is known of a cluster's nodes. */
export interface LocationFacts {
  readonly reference: string;
  readonly digest: Digest;
  readonly reports: readonly NodeModels[];
  readonly nodes: Known<readonly Node[]>;
  readonly leases: Known<readonly Lease[]>;
  /** Milliseconds since 1970. */
  readonly now: number;
}

/** Says where a model is. */
export function describeLocations(facts: LocationFacts): ModelLocations {
  const { reference, digest, reports, now } = facts;
  const label = labelKey(digest);
  const nodes = facts.nodes.value && new Map(facts.nodes.value.map((node) => [nameOf(node), node]));
  const alive = facts.leases.value && liveReporters(facts.leases.value, now);
  const current = reports.filter((each) => nodes?.has(nameOf(each)) ?? true);
  const found = current.flatMap((report) => {
    const model = report.status?.models.find((each) => each.digest === digest);
    if (model === undefined || report.status === undefined) return [];
    const node = nodes?.get(nameOf(report));
    return [
      {
        node: nameOf(report),
        state: model.state,
        bytes: model.bytes,
        totalBytes: model.totalBytes,
        bytesPerSecond: model.bytesPerSecond,
        pinned: model.pinned ?? false,
        mounts: model.mounts ?? 0,
        reportedAt: report.status.reportedAt,
        ageSeconds: Math.max(0, Math.round((now - Date.parse(report.status.reportedAt)) / 1000)),
        labelled: node && hasLabel(node, label),
        nodeReady: node && isReady(node),
        reporterAlive: alive?.has(nameOf(report)),
      },
    ];
  });
  const reporting = new Set(current.map(nameOf));
  const warm = found.filter(isWarm).length;
  const pulling = found.filter(({ state }) => state === "pulling").length;
  const counts = {
    warm,
    pulling,
    other: found.length - warm - pulling,
    without: current.length - found.length,
    silent: [...(nodes?.keys() ?? [])].filter((name) => !reporting.has(name)).length,
  };
  const having = new Set(found.map(({ node }) => node));
  const wrongLabels = [...(nodes ?? [])].flatMap(([name, node]) =>
    hasLabel(node, label) && !having.has(name) ? [name] : [],
  );
  return {
    reference,
    digest,
    label,
    nodes: found.toSorted(warmFirst),
    counts,
    wrongLabels,
    summary: summarize(counts),
    next: nextStep(facts, counts, wrongLabels),
  };
}

/** Whether pods may start there at once, as far as it is known. */
function isWarm({ state, nodeReady, reporterAlive }: NodeLocation): boolean {
  return state === "ready" && nodeReady !== false && reporterAlive !== false;
}

function hasLabel({ metadata }: Node, label: string): boolean {
  return metadata.labels?.[label] === labelValue;
}

const order: Readonly<Record<NodeModel["state"], number>> = {
  ready: 1,
  pulling: 2,
  partial: 3,
  failed: 4,
};

function warmFirst(a: NodeLocation, b: NodeLocation): number {
  const rank = (each: NodeLocation) => (isWarm(each) ? 0 : order[each.state]);
  const share = ({ bytes, totalBytes }: NodeLocation) => bytes / (totalBytes || bytes || 1);
  return rank(a) - rank(b) || share(b) - share(a) || a.node.localeCompare(b.node);
}

function summarize({ warm, pulling, other, without, silent }: ModelLocations["counts"]): string {
  const total = warm + pulling + other + without + silent;
  if (warm + pulling + other === 0)
    return total === silent
      ? "no node reports what it has"
      : `no node has it: ${total - silent} of ${total} nodes report, and none has a byte of it`;
  const parts = [
    `${warm} of ${total} ${total === 1 ? "node" : "nodes"} ${warm === 1 ? "has" : "have"} all of it`,
    ...(pulling > 0 ? [`${pulling} ${pulling === 1 ? "is" : "are"} fetching it`] : []),
    ...(other > 0 ? [`${other} ${other === 1 ? "has" : "have"} a part, or cannot be used`] : []),
    ...(without > 0 ? [`${without} ${without === 1 ? "has" : "have"} nothing of it`] : []),
    ...(silent > 0 ? [`${silent} ${silent === 1 ? "does" : "do"} not report`] : []),
  ];
  return parts.join(", ");
}

function nextStep(
  { digest, nodes, reports }: LocationFacts,
  { warm, pulling, other, without, silent }: ModelLocations["counts"],
  wrongLabels: readonly string[],
): string | undefined {
  if (wrongLabels.length > 0)
    return `${wrongLabels.join(", ")}: labelled for it without having it: ballast cluster doctor`;
  if (reports.length === 0 && (nodes.value?.length ?? 1) > 0)
    return "no reporter has said anything: ballast cluster doctor tells why";
  if (warm + pulling + other === 0)
    return `a pod that mounts it brings it to its node; or there: ballast prefetch REPOSITORY@${digest}`;
  if (warm === 0 && pulling === 0 && other > 0)
    return "a pod that mounts it fetches the rest; on the node `ballast status` says what stopped it";
  return without === 0 && silent > 0
    ? "ballast cluster doctor tells why nodes are silent"
    : undefined;
}
