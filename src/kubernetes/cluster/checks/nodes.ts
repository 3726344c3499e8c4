import { driverName, modelLabels } from "../../names.ts";
import { type ClusterFacts, roleOf, workloadOf } from "../facts/cluster-facts.ts";
import { nameOf } from "../facts/cluster-nodes.ts";
import { liveReporters } from "../facts/reporter-life.ts";
import { type Finding, failed, ok, someOf, unseen, warning } from "../finding.ts";

const oldestKubelet = 30;

/** What each node lacks, told together for nodes that lack the same. */
export function checkNodes(facts: ClusterFacts): Finding[] {
  if (facts.nodes.refused !== undefined) return [unseen("nodes", "nodes", facts.nodes)];
  if (facts.nodes.value.length === 0)
    return [warning("nodes", "the cluster has no nodes", "add one: kubectl get nodes")];
  return [
    ...checkDriver(facts),
    ...checkReporters(facts),
    ...checkLabels(facts),
    ...checkKubelets(facts),
  ];
}

/** The kubelet of a node knows the driver once the plugin has registered itself there. */
function checkDriver(facts: ClusterFacts): Finding[] {
  const { csiNodes, pods, nodes, namespace } = facts;
  if (csiNodes.refused !== undefined) return [unseen("node driver", "CSINodes", csiNodes)];
  const registered = new Set(
    csiNodes.value
      .filter(({ spec }) => spec.drivers?.some(({ name }) => name === driverName))
      .map(nameOf),
  );
  const plugins = (pods.value ?? []).filter((pod) => roleOf(pod) === "csi");
  const isReadyPod = (pod: (typeof plugins)[number]) =>
    pod.status?.conditions?.some((each) => each.type === "Ready" && each.status === "True") ??
    false;
  const here = new Map(plugins.map((pod) => [pod.spec.nodeName ?? "", isReadyPod(pod)]));
  const missing = (nodes.value ?? []).map(nameOf).filter((name) => !registered.has(name));
  const unheard = missing.filter((name) => here.get(name) === true);
  const rest = missing.filter((name) => here.get(name) !== true);
  const findings = [
    ...(unheard.length === 0
      ? []
      : [
          failed(
            "node driver",
            `the plugin runs on ${someOf(unheard)}, and the kubelet there does not know it: most often its --root-dir is another one than the chart's kubeletRoot`,
            `on the node: ps -o args= -C kubelet shows it; then: helm upgrade ballast deploy/helm/ballast -n ${namespace} --reuse-values --set kubeletRoot=DIR`,
          ),
        ]),
    ...(rest.length === 0
      ? []
      : [
          // Where Ballast is not installed at all, or not meant for the node, that is said elsewhere.
          (workloadOf(facts, "csi") === undefined ? failed : warning)(
            "node driver",
            `pods with models cannot start on ${someOf(rest)}: the driver is not registered there`,
            `kubectl -n ${namespace} get pods -l app.kubernetes.io/component=csi -o wide; nodes that are not meant for it are left out with nodes.nodeSelector`,
          ),
        ]),
  ];
  const count = registered.size;
  return findings.length > 0 ? findings : [ok("node driver", `registered on all ${count} nodes`)];
}

function checkReporters(facts: ClusterFacts): Finding[] {
  const { leases, reports, nodes, namespace, now } = facts;
  if (workloadOf(facts, "reporter") === undefined) return [];
  if (leases.refused !== undefined)
    return [unseen("node reports", `Leases of ${namespace}`, leases)];
  const alive = liveReporters(leases.value, now);
  const silent = (nodes.value ?? []).map(nameOf).filter((name) => !alive.has(name));
  const fix = `kubectl -n ${namespace} logs -l app.kubernetes.io/component=reporter --prefix --tail=20`;
  const findings: Finding[] = [];
  if (silent.length > 0)
    findings.push(
      warning(
        "node reports",
        `no reporter is alive on ${someOf(silent)}: these nodes count as cold`,
        fix,
      ),
    );
  if (reports.refused !== undefined)
    return [...findings, unseen("node reports", "NodeModels", reports)];
  const cold = reports.value
    .filter((report) => report.status?.agentReady === false && alive.has(nameOf(report)))
    .map(nameOf);
  if (cold.length > 0)
    findings.push(
      failed(
        "node reports",
        `the agent does not answer on ${someOf(cold)}: no model is mounted or fetched there`,
        `kubectl -n ${namespace} logs -l app.kubernetes.io/component=agent --prefix --tail=20`,
      ),
    );
  if (findings.length > 0) return findings;
  return [ok("node reports", `reporters are alive on all ${alive.size} nodes`)];
}

/** Labels that nobody stands for make schedulers prefer nodes that have nothing. */
function checkLabels({ leases, nodes, now }: ClusterFacts): Finding[] {
  if (leases.refused !== undefined) return [];
  const alive = liveReporters(leases.value, now);
  const stale = (nodes.value ?? [])
    .filter((node) => !alive.has(nameOf(node)))
    .filter(({ metadata }) => modelLabels(metadata.labels).length > 0)
    .map(nameOf);
  if (stale.length === 0) return [ok("node labels", "no node is labelled without a live reporter")];
  return [
    failed(
      "node labels",
      `${someOf(stale)}: labelled as warm, and no reporter stands for it`,
      "the controller removes them within minutes where it runs; else: ballast cluster teardown --labels (all nodes; live reporters label theirs again)",
    ),
  ];
}

function checkKubelets({ nodes }: ClusterFacts): Finding[] {
  const old = (nodes.value ?? []).filter(({ status }) => {
    const [, minor] = /^v1\.(\d+)/.exec(status?.nodeInfo?.kubeletVersion ?? "") ?? [];
    return minor !== undefined && Number(minor) < oldestKubelet;
  });
  if (old.length === 0) return [ok("kubelets", `all are 1.${oldestKubelet} or newer`)];
  const names = old.map((node) => `${nameOf(node)} ${node.status?.nodeInfo?.kubeletVersion}`);
  return [
    warning(
      "kubelets",
      `older than 1.${oldestKubelet}, where nothing is tested: ${someOf(names)}`,
      "upgrade these nodes",
    ),
  ];
}
