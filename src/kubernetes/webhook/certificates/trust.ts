import type { Abortable } from "../../../core/progress.ts";
import type { ClusterApi } from "../../api/cluster-api.ts";
import { type WebhookConfiguration, webhookConfigurationsPath } from "../../api/objects.ts";

/** The hosts at which an API server calls the webhooks, where that is not by a Service. */
export function calledHosts({ webhooks = [] }: WebhookConfiguration): string[] {
  return webhooks.flatMap(({ clientConfig: { url } }) =>
    url === undefined ? [] : [new URL(url).hostname.replace(/^\[(.*)\]$/, "$1")],
  );
}

/** What API servers are told of the webhooks. */
export interface Introduction {
  /** PEM. */
  readonly authorities: string;
  /** That reviews are posted to. */
  readonly path: string;
}

type ClientConfig = NonNullable<WebhookConfiguration["webhooks"]>[number]["clientConfig"];

/**
 * Has an API server trust these authorities and use that path when it calls the webhooks. Changes these
 * fields, and only where they say something else; resolves to whether it did. Rejects with 422 when the
 * webhooks were put in another order meanwhile.
 */
export async function introduce(
  api: ClusterApi,
  configuration: WebhookConfiguration,
  { authorities, path: reviews }: Introduction,
  options: Abortable,
): Promise<boolean> {
  const caBundle = Buffer.from(authorities).toString("base64");
  const operations = (configuration.webhooks ?? []).flatMap(({ name, clientConfig }, at) => {
    const changes = [
      ...(clientConfig.caBundle === caBundle ? [] : [["caBundle", caBundle] as const]),
      ...pathChange(clientConfig, reviews),
    ];
    if (changes.length === 0) return [];
    return [
      { op: "test", path: `/webhooks/${at}/name`, value: name },
      ...changes.map(([field, value]) => ({
        op: "add",
        path: `/webhooks/${at}/clientConfig/${field}`,
        value,
      })),
    ];
  });
  if (operations.length === 0) return false;
  const path = `${webhookConfigurationsPath}/${configuration.metadata.name ?? ""}`;
  const contentType = "application/json-patch+json";
  await api.call({ method: "PATCH", path, body: operations, contentType }, options);
  return true;
}

function pathChange({ service, url }: ClientConfig, path: string): (readonly [string, string])[] {
  if (service !== undefined) return service.path === path ? [] : [["service/path", path]];
  if (url === undefined) return [];
  const wanted = new URL(path, url).href;
  return url === wanted ? [] : [["url", wanted]];
}
