import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { createCustomKinds } from "../support/examples/custom-kinds.ts";
import { checkManifest } from "../support/examples/manifests.ts";

const definition = `# source: somewhere
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: things.example.com
spec:
  group: example.com
  names:
    kind: Thing
    plural: things
  scope: Namespaced
  versions:
${version("v1alpha1", "deprecated: true")}
${version("v1", "storage: true")}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: wholes.example.com
spec:
  group: example.com
  names:
    kind: Whole
    plural: wholes
  scope: Cluster
  versions:
${version("v1", "storage: true")}
`;
const custom = createCustomKinds([definition]);

function version(name: string, extra: string): string {
  return `    - name: ${name}
      served: true
      ${extra}
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              properties:
                size:
                  type: integer
                template:
                  type: object
                  x-kubernetes-preserve-unknown-fields: true`;
}

function check(yaml: string): string[] {
  const { problems } = checkManifest(parse(yaml), custom);
  return problems.map(({ path, problem }) => `${path}: ${problem}`);
}

describe("an object of a custom kind", () => {
  const thing = `
    apiVersion: example.com/v1
    kind: Thing
    metadata: {name: a, namespace: b, labels: {c: d}}
    spec: {size: 1}`;

  test("passes when it is as its definition says", () => {
    expect(check(thing)).toEqual([]);
    const whole = thing.replace("Thing", "Whole").replace("namespace: b, ", "");
    expect(check(whole)).toEqual([]);
  });

  test.each([
    ["an unknown field", "size: 1", "sice: 1", "spec.sice: unknown field sice, did you mean size?"],
    ["a deprecated version", "/v1", "/v1alpha1", "example.com/v1alpha1 is deprecated, there is v1"],
    ["another version", "/v1", "/v2", "apiVersion: unknown version of Thing v2, did you mean v1?"],
    ["another kind", "Thing", "Thyng", "kind: unknown kind Thyng, did you mean Thing?"],
    [
      "another group",
      "example.com",
      "exampel.com",
      "apiVersion: unknown group exampel.com, did you mean example.com?",
    ],
    ["no namespace", "namespace: b, ", "", "metadata.namespace: is missing"],
    ["no name", "name: a, ", "", "metadata.name: is missing"],
    [
      "a namespace although it is of the cluster",
      "Thing",
      "Whole",
      "metadata.namespace: the kind is of the whole cluster",
    ],
    [
      "metadata that is none",
      "labels",
      "lables",
      "metadata.lables: unknown field lables, did you mean labels?",
    ],
  ])("does not pass with %s", (_, from, to, why) => {
    expect(thing).toContain(from);
    expect(check(thing.replace(from, to))).toContainEqual(expect.stringContaining(why));
  });

  test("is named as not checked without definitions", () => {
    const verdict = checkManifest(parse(thing.replace("size", "sice")), undefined);
    expect(verdict).toMatchObject({ problems: [], unchecked: "no definitions were given" });
  });
});

describe("an object of Kubernetes", () => {
  const pod = `
    apiVersion: v1
    kind: Pod
    metadata: {name: a, namespace: b}
    spec:
      containers:
        - name: c
          image: d
          resources: {limits: {cpu: 1}}
          ports: [{containerPort: 80}]
          livenessProbe: {httpGet: {port: http}}
          volumeMounts: [{name: model, mountPath: /models, readOnly: true}]
      volumes:
        - name: model
          csi:
            driver: csi.ballast.dev
            readOnly: true
            volumeAttributes: {reference: "registry.example.com/team/model:v1"}`;

  test("passes when it is as the API has it", () => {
    expect(check(pod)).toEqual([]);
  });

  test.each([
    [
      "an unknown field",
      "image:",
      "imag:",
      "spec.containers[0].imag: unknown field imag, did you mean image?",
    ],
    [
      "another type",
      "containerPort: 80",
      'containerPort: "80"',
      "ports[0].containerPort: must be number",
    ],
    ["a list for an object", "metadata: {", "metadata: [{", "metadata: must be an object"],
    ["a kind that is none", "Pod", "Pot", "kind: unknown kind v1 Pot"],
    ["null", "image: d", "image:", "spec.containers[0].image: is null"],
    [
      "a mount of no volume",
      "[{name: model,",
      "[{name: modell,",
      "volumeMounts[0].name: unknown volume modell, did you mean model?",
    ],
    [
      "a mount that writes",
      "mountPath: /models, readOnly: true",
      "mountPath: /models",
      "volumeMounts[0].readOnly: is not true",
    ],
    [
      "a volume that writes",
      "driver: csi.ballast.dev\n            readOnly: true",
      "driver: csi.ballast.dev",
      "csi.readOnly: is not true",
    ],
    [
      "another driver",
      "csi.ballast.dev",
      "csi.balast.dev",
      "unknown driver csi.balast.dev, did you mean csi.ballast.dev?",
    ],
    [
      "an attribute that is none",
      "{reference:",
      "{refrence: a, reference:",
      'no volume attribute "refrence"',
    ],
    [
      "an attribute that is no text",
      "{reference:",
      "{warm: true, reference:",
      "warm is no text: write it in quotes",
    ],
    [
      "a value that the driver refuses",
      "{reference:",
      "{mode: lazy, reference:",
      "mode lazy is not there yet",
    ],
    [
      "no reference",
      '{reference: "registry.example.com/team/model:v1"}',
      "{}",
      "the volume names no model",
    ],
    [
      "a reference that is none",
      "registry.example.com/team/model:v1",
      "team/model:v1",
      "is no reference",
    ],
    [
      "a reference at another host",
      "registry.example.com",
      "registry.example.net",
      "is not at registry.example.com",
    ],
    ["a reference without a version", "model:v1", "model", "has neither tag nor digest"],
  ])("does not pass with %s", (_, from, to, why) => {
    expect(pod).toContain(from);
    const worse = pod.replace(from, to).replace("[{name: a, namespace: b}", "[{name: a}]");
    expect(check(worse)).toContainEqual(expect.stringContaining(why));
  });

  test("is looked at wherever a custom kind has its pods", () => {
    const template = JSON.stringify({ spec: parse(pod).spec });
    const yaml = (inner: string) =>
      `{apiVersion: example.com/v1, kind: Thing, metadata: {name: a, namespace: b}, spec: {template: ${inner}}}`;
    expect(check(yaml(template))).toEqual([]);
    const worse = yaml(template.replace('"name":"model"', '"name":"other"'));
    expect(check(worse)).toEqual([
      "spec.template.spec.containers[0].volumeMounts[0].name: unknown volume other, there is model",
    ]);
  });

  test("reads a claim read-only", () => {
    const claim = "persistentVolumeClaim: {claimName: e, readOnly: true}";
    const mounted = pod.replace(/csi:[\s\S]*$/, claim);
    expect(check(mounted)).toEqual([]);
    expect(check(mounted.replace("e, readOnly: true", "e"))).toEqual([
      "spec.volumes[0].persistentVolumeClaim.readOnly: is not true: a kubelet asks for read-write",
    ]);
  });
});
