import type { ClusterApi } from "../../src/kubernetes/api/cluster-api.ts";

/** Asks for a token of a ServiceAccount; with `node`, of a pod there that is made for it, as a DaemonSet's is. */
export async function requestToken(
  api: ClusterApi,
  options: { namespace: string; serviceAccount: string; node?: string | undefined },
): Promise<string> {
  const { namespace, serviceAccount, node } = options;
  const pod = node === undefined ? undefined : await makePod(api, { ...options, node });
  const boundObjectRef =
    pod === undefined ? undefined : { apiVersion: "v1", kind: "Pod", name: pod.name, uid: pod.uid };
  const body = {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    spec: { expirationSeconds: 3600, boundObjectRef },
  };
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${serviceAccount}/token`;
  const answer = await api.call<{ status: { token: string } }>({ method: "POST", path, body });
  return answer.status.token;
}

async function makePod(
  api: ClusterApi,
  options: { namespace: string; serviceAccount: string; node: string },
): Promise<{ name: string; uid: string }> {
  const { namespace, serviceAccount: serviceAccountName, node: nodeName } = options;
  const metadata = { generateName: `${serviceAccountName}-`, namespace };
  const containers = [{ name: "main", image: "none" }];
  const spec = { nodeName, serviceAccountName, containers };
  const body = { apiVersion: "v1", kind: "Pod", metadata, spec };
  const path = `/api/v1/namespaces/${namespace}/pods`;
  const made = await api.call<{ metadata: { name: string; uid: string } }>({
    method: "POST",
    path,
    body,
  });
  return made.metadata;
}
