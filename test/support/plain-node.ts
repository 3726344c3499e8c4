import type { ClusterApi } from "../../src/kubernetes/api/cluster-api.ts";

export interface PlainNodeOptions {
  readonly labels?: Readonly<Record<string, string>>;
  /** Default: 8. */
  readonly cpus?: number;
  /** Default: 110. */
  readonly pods?: number;
}

/** Adds a Node that is ready for pods; nothing runs there. */
export async function addPlainNode(
  api: ClusterApi,
  name: string,
  { labels = {}, cpus = 8, pods = 110 }: PlainNodeOptions = {},
): Promise<void> {
  const metadata = { name, labels: { "kubernetes.io/hostname": name, ...labels } };
  const body = { apiVersion: "v1", kind: "Node", metadata };
  await api.call({ method: "POST", path: "/api/v1/nodes", body });
  const amounts = { cpu: String(cpus), memory: "64Gi", pods: String(pods) };
  const status = {
    capacity: amounts,
    allocatable: amounts,
    conditions: [{ type: "Ready", status: "True", reason: "KubeletReady" }],
    nodeInfo: { kubeletVersion: "v1.36.3", operatingSystem: "linux", architecture: "amd64" },
  };
  const path = `/api/v1/nodes/${name}`;
  await api.call({ method: "PATCH", path: `${path}/status`, body: { status } });
  // The API server taints new nodes until somebody says that they are ready.
  await api.call({ method: "PATCH", path, body: { spec: { taints: null } } });
}
