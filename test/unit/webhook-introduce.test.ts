import { describe, expect, test } from "vitest";
import type { ApiRequest, ClusterApi } from "../../src/kubernetes/api/cluster-api.ts";
import type { WebhookConfiguration } from "../../src/kubernetes/api/objects.ts";
import { introduce } from "../../src/kubernetes/webhook/certificates/trust.ts";

type ClientConfig = NonNullable<WebhookConfiguration["webhooks"]>[number]["clientConfig"];

const signal = new AbortController().signal;
const introduction = { authorities: "authority", path: "/pods/secret" };
const caBundle = Buffer.from("authority").toString("base64");
const service = { name: "ballast-webhook", namespace: "ballast" };

/** What is changed of a webhook that is called so. */
async function changes(clientConfig: ClientConfig): Promise<unknown> {
  const calls: ApiRequest[] = [];
  const api = { call: async (call: ApiRequest) => void calls.push(call) } as unknown as ClusterApi;
  const metadata = { name: "ballast-webhook" };
  const configuration = { metadata, webhooks: [{ name: "pods.ballast.dev", clientConfig }] };
  const isNews = await introduce(api, configuration, introduction, { signal });
  expect(isNews).toBe(calls.length > 0);
  return calls[0]?.body;
}

describe("API servers are told", () => {
  test("whom to trust and where to ask, at a Service", async () => {
    expect(await changes({ service })).toEqual([
      { op: "test", path: "/webhooks/0/name", value: "pods.ballast.dev" },
      { op: "add", path: "/webhooks/0/clientConfig/caBundle", value: caBundle },
      { op: "add", path: "/webhooks/0/clientConfig/service/path", value: "/pods/secret" },
    ]);
  });

  test("only what they do not know, at a URL, of which nothing but the path changes", async () => {
    expect(await changes({ caBundle, url: "https://example.com:8443/pods" })).toEqual([
      { op: "test", path: "/webhooks/0/name", value: "pods.ballast.dev" },
      {
        op: "add",
        path: "/webhooks/0/clientConfig/url",
        value: "https://example.com:8443/pods/secret",
      },
    ]);
  });

  test.each([
    ["a Service", { caBundle, service: { ...service, path: "/pods/secret" } }],
    ["a URL", { caBundle, url: "https://example.com/pods/secret" }],
  ])("nothing when they know it all: %s", async (_, clientConfig) => {
    expect(await changes(clientConfig)).toBeUndefined();
  });
});
