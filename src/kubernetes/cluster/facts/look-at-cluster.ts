import type { Abortable } from "../../../core/progress.ts";
import type { ClusterApi } from "../../api/cluster-api.ts";
import { leasesPath } from "../../api/leases.ts";
import { type Collection, listAll } from "../../api/list.ts";
import {
  type ApiObject,
  type Lease,
  type Secret,
  type WebhookConfiguration,
  webhookConfigurationsPath,
} from "../../api/objects.ts";
import { driverName, ownObjects, partName, webhookCertificate, webhookName } from "../../names.ts";
import { nodeModelsCrd } from "../../node-models.ts";
import type {
  ClusterFacts,
  CsiDriver,
  CsiNode,
  CustomResourceDefinition,
  EndpointSlice,
  ResourceQuota,
  RolePod,
  Workload,
} from "./cluster-facts.ts";
import { lookAtNodes } from "./cluster-nodes.ts";
import { type Known, look, lookAtAll } from "./known.ts";
import { listReports } from "./list-reports.ts";
import { lookAtEvents } from "./pod-events.ts";
import { lookAtPolicies } from "./policy-names.ts";
import { lookAtRights } from "./role-rights.ts";
import { lookAtWaitingPods } from "./waiting-pods.ts";

export interface LookOptions extends Abortable {
  /** Of Ballast. */
  readonly namespace: string;
  readonly programVersion: string;
}

const roles = ["reporter", "controller", "webhook"];

/** Gathers what there is to know of an installation; reads only. What the user may not see is so marked. */
export async function lookAtCluster(
  api: ClusterApi,
  { namespace, programVersion, signal }: LookOptions,
): Promise<ClusterFacts> {
  const options = { signal };
  const one = <T>(path: string) => look(() => api.call<T>({ method: "GET", path }, options));
  const all = <T extends ApiObject>(collection: Collection) =>
    lookAtAll(async () => (await listAll<T>(api, collection, options)).items);
  const home = `/api/v1/namespaces/${namespace}`;
  const apps = `/apis/apps/v1/namespaces/${namespace}`;
  const { gitVersion } = await api.call<{ gitVersion: string }>(
    { method: "GET", path: "/version" },
    options,
  );
  const [daemonSets, deployments] = await Promise.all([
    all<Workload>({ path: `${apps}/daemonsets` }),
    all<Workload>({ path: `${apps}/deployments` }),
  ]);
  const workloads = together(daemonSets, deployments);
  const names = workloads.value?.map(({ metadata }) => metadata.name);
  const installed = roles.filter((role) => names?.includes(partName(role)) ?? true);
  const wide = await keyed({
    home: one<ApiObject>(home),
    crd: one<CustomResourceDefinition>(
      `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${nodeModelsCrd}`,
    ),
    driver: one<CsiDriver>(`/apis/storage.k8s.io/v1/csidrivers/${driverName}`),
    webhook: one<WebhookConfiguration>(`${webhookConfigurationsPath}/${webhookName}`),
    certificate: one<Secret>(`${home}/secrets/${webhookCertificate}`),
    pods: all<RolePod>({ path: `${home}/pods`, labelSelector: ownObjects }),
    events: lookAtEvents(api, namespace, undefined, options),
    endpoints: all<EndpointSlice>({
      path: `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices`,
      labelSelector: `kubernetes.io/service-name=${webhookName}`,
    }),
    quotas: all<ResourceQuota>({ path: `${home}/resourcequotas` }),
    leases: all<Lease>({ path: leasesPath(namespace) }),
    reports: lookAtAll(() => listReports(api, () => false, options)),
    nodes: lookAtNodes(api, options),
    csiNodes: all<CsiNode>({ path: "/apis/storage.k8s.io/v1/csinodes" }),
    policies: lookAtPolicies(api, options),
    rights: lookAtRights(api, { namespace, roles: installed, signal }),
    waiting: lookAtWaitingPods(api, options),
  });
  return {
    now: Date.now(),
    namespace,
    programVersion,
    serverVersion: gitVersion,
    workloads,
    ...wide,
  };
}

function together<T>(a: Known<readonly T[]>, b: Known<readonly T[]>): Known<readonly T[]> {
  if (a.refused !== undefined) return a;
  if (b.refused !== undefined) return b;
  return { value: [...a.value, ...b.value] };
}

/** Waits for all of them, under their names. */
async function keyed<T extends Record<string, Promise<unknown>>>(
  promises: T,
): Promise<{ [K in keyof T]: Awaited<T[K]> }> {
  const entries = Object.entries(promises).map(async ([name, promise]) => [name, await promise]);
  return Object.fromEntries(await Promise.all(entries)) as { [K in keyof T]: Awaited<T[K]> };
}
