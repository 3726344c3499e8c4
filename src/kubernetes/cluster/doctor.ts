import type { ClusterApi } from "../api/cluster-api.ts";
import { checkCsiDriver } from "./checks/csi-driver.ts";
import { checkHome } from "./checks/home.ts";
import { checkNodeModelsCrd } from "./checks/node-models-crd.ts";
import { checkNodes } from "./checks/nodes.ts";
import { checkPolicies } from "./checks/policies.ts";
import { checkQuota } from "./checks/quota.ts";
import { checkRights } from "./checks/rights.ts";
import { checkServerVersion } from "./checks/server-version.ts";
import { checkWaiting } from "./checks/waiting.ts";
import { checkWebhook } from "./checks/webhook.ts";
import { checkWorkloads } from "./checks/workloads.ts";
import type { ClusterFacts } from "./facts/cluster-facts.ts";
import { type LookOptions, lookAtCluster } from "./facts/look-at-cluster.ts";
import type { Finding } from "./finding.ts";

/** What a cluster lacks. */
export interface Diagnosis {
  /** The API server. */
  readonly server: string;
  /** Of Ballast. */
  readonly namespace: string;
  readonly findings: readonly Finding[];
  readonly counts: Readonly<Record<Finding["status"], number>>;
}

const checks: readonly ((facts: ClusterFacts) => Finding[])[] = [
  checkServerVersion,
  checkHome,
  checkNodeModelsCrd,
  checkCsiDriver,
  checkWorkloads,
  checkQuota,
  checkRights,
  checkPolicies,
  checkWebhook,
  checkNodes,
  checkWaiting,
];

/**
 * Looks at an installation and says what it lacks. Reads only, with whatever rights the user has.
 * Rejects with CLUSTER_UNAVAILABLE where no API server answers.
 */
export async function diagnoseCluster(api: ClusterApi, options: LookOptions): Promise<Diagnosis> {
  const facts = await lookAtCluster(api, options);
  return { server: api.server, namespace: options.namespace, ...judgeCluster(facts) };
}

/** What the checks make of the facts. */
export function judgeCluster(facts: ClusterFacts): Pick<Diagnosis, "findings" | "counts"> {
  const findings = checks.flatMap((check) => check(facts));
  const count = (status: Finding["status"]) =>
    findings.filter((finding) => finding.status === status).length;
  return {
    findings,
    counts: {
      ok: count("ok"),
      warning: count("warning"),
      failed: count("failed"),
      unknown: count("unknown"),
    },
  };
}
