import { type Digest, digestOf } from "../../src/core/digest.ts";
import type { Lease } from "../../src/kubernetes/api/objects.ts";
import type { ClusterFacts } from "../../src/kubernetes/cluster/facts/cluster-facts.ts";
import type { ClusterNode } from "../../src/kubernetes/cluster/facts/cluster-nodes.ts";
import { defaultNamespace, reporterLeaseName } from "../../src/kubernetes/names.ts";
import {
  type NodeModel,
  type NodeModels,
  nodeModelsVersion,
} from "../../src/kubernetes/node-models.ts";

/** The moment at which these clusters are looked at. */
export const lookedAt: number = Date.parse("2026-01-02T03:04:05Z");

export const someDigest: Digest = digestOf("a model");

export function ago(seconds: number): string {
  return new Date(lookedAt - seconds * 1000).toISOString();
}

export function nodeOf(
  name: string,
  more: { labels?: Record<string, string>; ready?: boolean; spec?: ClusterNode["spec"] } = {},
): ClusterNode {
  const { labels = {}, ready = true, spec } = more;
  return {
    metadata: { name, labels },
    spec,
    status: {
      conditions: [{ type: "Ready", status: ready ? "True" : "False" }],
      nodeInfo: { kubeletVersion: "v1.36.3" },
    },
  };
}

export function reportOf(node: string, models: readonly NodeModel[], agoSeconds = 4): NodeModels {
  const status = { reportedAt: ago(agoSeconds), agentReady: true, models };
  return { apiVersion: nodeModelsVersion, kind: "NodeModels", metadata: { name: node }, status };
}

export function leaseOf(node: string, agoSeconds = 5): Lease {
  const spec = { renewTime: ago(agoSeconds), leaseDurationSeconds: 40 };
  return { metadata: { name: reporterLeaseName(node) }, spec };
}

/** A cluster in which nothing of Ballast is installed: one node, and an API server that tells all. */
export function emptyCluster(): ClusterFacts {
  return {
    now: lookedAt,
    namespace: defaultNamespace,
    programVersion: "1.0.0",
    serverVersion: "v1.36.3",
    home: { value: undefined },
    crd: { value: undefined },
    driver: { value: undefined },
    workloads: { value: [] },
    pods: { value: [] },
    events: { value: [] },
    nodes: { value: [nodeOf("a")] },
    csiNodes: { value: [] },
    leases: { value: [] },
    reports: { value: [] },
    webhook: { value: undefined },
    certificate: { value: undefined },
    endpoints: { value: [] },
    policies: { value: { validating: [], mutating: [], bound: [] } },
    quotas: { value: [] },
    rights: { value: [] },
    waiting: { value: [] },
  };
}
