import { type Document, isMap, isSeq } from "yaml";
import type { ChartObject } from "./chart.ts";

/** The folder with what a node needs, the one with all parts, and one that changes either. */
const folders = {
  base: "deploy/kustomize/base",
  all: "deploy/kustomize/default",
  capabilities: "deploy/kustomize/capabilities",
};
const plugin = "csi-daemon-set.yaml";

const made = "# Made of deploy/helm/ballast by `node test/tools/render-deploy.ts`.\n";

const configHead =
  "# What the operator decides for the agents; docs/operations.md explains each key.\n";

/** What kustomize says itself, and what Helm's labels and annotations are for. */
const helmsOwn = [
  ["metadata", "labels", "helm.sh/chart"],
  ["metadata", "labels", "app.kubernetes.io/managed-by"],
  ["spec", "template", "metadata", "labels", "helm.sh/chart"],
  ["spec", "template", "metadata", "labels", "app.kubernetes.io/managed-by"],
  ["spec", "template", "metadata", "annotations", "checksum/config"],
];

/**
 * The files of both kustomizations, by their paths in the repository. Files are named as the chart's
 * templates; `agent.yaml` is the agents' configuration as people edit it.
 */
export function renderKustomizations(
  objects: readonly ChartObject[],
  agentYaml: string,
): Map<string, string> {
  const kept = objects.filter(({ file }) => file !== "agent-config-map.yaml");
  const isBase = ({ file }: ChartObject) => /^(?:namespace|agent-.*|csi-.*)\.yaml$/.test(file);
  const base = collect(kept.filter(isBase));
  const rest = collect(kept.filter((object) => !isBase(object)));
  const files = new Map<string, string>();
  for (const [name, text] of base) files.set(`${folders.base}/${name}`, made + text);
  for (const [name, text] of rest) files.set(`${folders.all}/${name}`, made + text);
  files.set(`${folders.base}/agent.yaml`, made + configHead + agentYaml);
  files.set(`${folders.base}/kustomization.yaml`, baseKustomization([...base.keys()]));
  files.set(`${folders.all}/kustomization.yaml`, fullKustomization([...rest.keys()]));
  return files;
}

/**
 * The files of a component that puts the plugin of these objects in place of another kustomization's,
 * by their paths in the repository.
 */
export function renderComponent(objects: readonly ChartObject[]): Map<string, string> {
  const parts = objects.filter(({ file }) => file === plugin);
  for (const { document } of parts) document.setIn(["spec", "$patch"], "replace");
  const files = new Map<string, string>();
  for (const [name, text] of collect(parts))
    files.set(`${folders.capabilities}/${name}`, made + text);
  files.set(`${folders.capabilities}/kustomization.yaml`, componentKustomization());
  return files;
}

/** The text of each file; several objects of one template stay together. */
function collect(objects: readonly ChartObject[]): Map<string, string> {
  const files = new Map<string, string>();
  for (const { file, document } of objects) {
    strip(document);
    const text = document.toString({ lineWidth: 0 }).replace(/^\n+/, "");
    const before = files.get(file);
    files.set(file, before === undefined ? text : `${before}---\n${text}`);
  }
  return new Map([...files].toSorted(([one], [other]) => (one < other ? -1 : 1)));
}

function strip(document: Document): void {
  for (const path of helmsOwn) {
    if (!document.hasIn(path)) continue;
    document.deleteIn(path);
    const owner = document.getIn(path.slice(0, -1));
    if (isMap(owner) && owner.items.length === 0) document.deleteIn(path.slice(0, -1));
  }
  // The webhook writes it; whoever applies this again must not take it away.
  const webhooks = document.get("webhooks");
  if (isSeq(webhooks))
    for (const webhook of webhooks.items)
      if (isMap(webhook)) webhook.deleteIn(["clientConfig", "caBundle"]);
}

function baseKustomization(files: readonly string[]): string {
  return `${made}# What a node needs, and nothing that holds a Kubernetes token: kubectl apply -k deploy/kustomize/base, or
# from a kustomization of your own that has this folder as a resource (docs/operations.md).
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
${list(files)}
# Its name ends in a hash of its content: a changed agent.yaml rolls the agents out anew.
configMapGenerator:
  - name: ballast-agent
    namespace: ballast-system
    files:
      - agent.yaml
`;
}

function fullKustomization(files: readonly string[]): string {
  return `${made}# All parts: kubectl apply -k deploy/kustomize/default, or from a kustomization of your own that has
# this folder as a resource (docs/operations.md).
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
${list(["../base", ...files])}
`;
}

function componentKustomization(): string {
  return `${made}# The plugin with three capabilities in place of privileged (docs/csi.md). From a kustomization of your own:
#   resources: [.../deploy/kustomize/default]
#   components: [.../deploy/kustomize/capabilities]
apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
patches:
  - path: ${plugin}
`;
}

function list(files: readonly string[]): string {
  return files.map((file) => `  - ${file}`).join("\n");
}
