import type { Abortable } from "../../../core/progress.ts";
import type { ClusterApi } from "../../api/cluster-api.ts";
import { type WebhookConfiguration, webhookConfigurationsPath } from "../../api/objects.ts";

/** The hosts at which an API server calls the webhooks, where that is not by a Service. */
export function calledHosts({ webhooks = [] }: WebhookConfiguration): string[] {
  return webhooks.flatMap(({ clientConfig: { url } }) =>
    url === undefined ? [] : [new URL(url).hostname.replace(/^\[(.*)\]$/, "$1")],
  );
}

/**
 * Has an API server trust these authorities (PEM) when it calls the webhooks. Changes that one field, and
 * only where it says something else; resolves to whether it did. Rejects with 422 when the webhooks were
 * put in another order meanwhile.
 */
export async function trustAuthorities(
  api: ClusterApi,
  configuration: WebhookConfiguration,
  authorities: string,
  options: Abortable,
): Promise<boolean> {
  const caBundle = Buffer.from(authorities).toString("base64");
  const operations = (configuration.webhooks ?? []).flatMap(({ name, clientConfig }, at) =>
    clientConfig.caBundle === caBundle
      ? []
      : [
          { op: "test", path: `/webhooks/${at}/name`, value: name },
          { op: "add", path: `/webhooks/${at}/clientConfig/caBundle`, value: caBundle },
        ],
  );
  if (operations.length === 0) return false;
  const path = `${webhookConfigurationsPath}/${configuration.metadata.name ?? ""}`;
  const contentType = "application/json-patch+json";
  await api.call({ method: "PATCH", path, body: operations, contentType }, options);
  return true;
}
