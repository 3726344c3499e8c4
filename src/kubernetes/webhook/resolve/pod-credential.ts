import type { Abortable } from "../../../core/progress.ts";
import type { ExplicitCredential } from "../../../registry/client/credentials.ts";
import type { ClusterApi } from "../../api/cluster-api.ts";
import type { Secret } from "../../api/objects.ts";

/**
 * The credential in a secret, in the forms that volumes take: `.dockerconfigjson`, `username` with
 * `password`, or `token`. Undefined where it has none of these. Rejects as the API server does.
 */
export async function readPodCredential(
  api: ClusterApi,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  options: Abortable,
): Promise<ExplicitCredential | undefined> {
  const path = `/api/v1/namespaces/${segment(namespace)}/secrets/${segment(name)}`;
  const { data = {} } = await api.call<Secret>({ method: "GET", path }, options);
  const read = (key: string) => {
    const encoded = data[key];
    return encoded === undefined ? undefined : Buffer.from(encoded, "base64").toString("utf8");
  };
  const dockerConfigJson = read(".dockerconfigjson");
  if (dockerConfigJson !== undefined) return { dockerConfigJson };
  const [username, password, token] = [read("username"), read("password"), read("token")];
  if (username !== undefined && password !== undefined) return { username, password };
  return token === undefined ? undefined : { token };
}

function segment(name: string): string {
  return encodeURIComponent(name);
}
