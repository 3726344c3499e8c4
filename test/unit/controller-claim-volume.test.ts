import { describe, expect, test } from "vitest";
import type { PersistentVolumeClaim, StorageClass } from "../../src/kubernetes/api/objects.ts";
import { volumeOf } from "../../src/kubernetes/controller/claim-volume.ts";
import { secretParameters } from "../../src/kubernetes/controller/publish-secret.ts";

const reference = "registry.example.com/team/llama:v1";

function claimWith(changes: Partial<PersistentVolumeClaim["spec"]> = {}): PersistentVolumeClaim {
  return {
    metadata: {
      name: "weights",
      namespace: "team-a",
      uid: "1234",
      annotations: {
        model: "mistral",
        "example.com/tag": "v2",
        "ballast.dev/reference": reference,
      },
    },
    spec: {
      storageClassName: "models",
      accessModes: ["ReadOnlyMany"],
      resources: { requests: { storage: "5Gi" } },
      ...changes,
    },
  };
}

const classWith = (
  parameters: Record<string, string>,
  changes: Partial<StorageClass> = {},
): StorageClass => ({
  metadata: { name: "models" },
  provisioner: "csi.ballast.dev",
  parameters,
  ...changes,
});

const secretOf = (name: string, namespace?: string) =>
  volumeOf(
    claimWith(),
    classWith({
      reference,
      [secretParameters.name]: name,
      ...(namespace === undefined ? {} : { [secretParameters.namespace]: namespace }),
    }),
  ).spec.csi?.nodePublishSecretRef;

describe("the volume of a claim", () => {
  test("is named after its uid, read-only, and as the claim and its class say", () => {
    const storageClass = classWith(
      { reference, include: "*.{json,txt}", warm: "true" },
      { reclaimPolicy: "Retain", mountOptions: ["ro", "noexec"] },
    );
    expect(volumeOf(claimWith(), storageClass)).toEqual({
      apiVersion: "v1",
      kind: "PersistentVolume",
      metadata: {
        name: "pvc-1234",
        annotations: { "pv.kubernetes.io/provisioned-by": "csi.ballast.dev" },
      },
      spec: {
        storageClassName: "models",
        persistentVolumeReclaimPolicy: "Retain",
        capacity: { storage: "5Gi" },
        accessModes: ["ReadOnlyMany"],
        mountOptions: ["ro", "noexec"],
        claimRef: {
          apiVersion: "v1",
          kind: "PersistentVolumeClaim",
          namespace: "team-a",
          name: "weights",
          uid: "1234",
        },
        csi: {
          driver: "csi.ballast.dev",
          volumeHandle: "pvc-1234",
          readOnly: true,
          volumeAttributes: { include: "*.{json,txt}", reference, warm: "true" },
          nodePublishSecretRef: undefined,
        },
      },
    });
  });

  test.each([
    [reference, reference],
    [
      "registry.example.com/${pvc.namespace}/${pvc.name}:v1",
      "registry.example.com/team-a/weights:v1",
    ],
    [
      "registry.example.com/${pvc.annotations['model']}:${pvc.annotations['example.com/tag']}",
      "registry.example.com/mistral:v2",
    ],
  ])("is of the model %s", (template, expected) => {
    const { csi } = volumeOf(claimWith(), classWith({ reference: template })).spec;
    expect(csi?.volumeAttributes).toEqual({ reference: expected });
  });

  test("is of the model in the claim's annotation where the class names none, and only there", () => {
    const attributes = (parameters: Record<string, string>) =>
      volumeOf(claimWith(), classWith(parameters)).spec.csi?.volumeAttributes;
    expect(attributes({})).toEqual({ reference });
    const other = "registry.example.com/other:v1";
    expect(attributes({ reference: other })).toEqual({ reference: other });
  });

  test.each<[string, PersistentVolumeClaim, StorageClass, RegExp]>([
    ["an unknown parameter", claimWith(), classWith({ reference, refrence: "x" }), /"refrence".*/],
    [
      "a parameter of another driver",
      claimWith(),
      classWith({ reference, "csi.storage.k8s.io/fstype": "ext4" }),
      /no parameter csi\.storage\.k8s\.io\/fstype/,
    ],
    ["a folder of the node", claimWith(), classWith({ reference: "oci:/etc" }), /oci:\/etc/],
    ["no reference at all", claimWith(), classWith({ reference: "::" }), /::/],
    ["a mode that is not there", claimWith(), classWith({ reference, mode: "lazy" }), /lazy/],
    [
      "a variable that is not there",
      claimWith(),
      classWith({ reference: "registry.example.com/${pod.name}" }),
      /cannot have \$\{pod\.name\}/,
    ],
    [
      "an annotation that the claim has not",
      claimWith(),
      classWith({ reference: "registry.example.com/${pvc.annotations['none']}" }),
      /the claim has no annotation none/,
    ],
    [
      "half a variable",
      claimWith(),
      classWith({ reference: "registry.example.com/${a" }),
      /without its }/,
    ],
    [
      "options to mount it with",
      claimWith(),
      classWith({ reference }, { mountOptions: ["rw"] }),
      /mount option/,
    ],
    [
      "a block device",
      claimWith({ volumeMode: "Block" }),
      classWith({ reference }),
      /block device/,
    ],
    [
      "a copy of another volume",
      claimWith({ dataSource: { kind: "VolumeSnapshot" } }),
      classWith({ reference }),
      /no copy/,
    ],
    ["a selector", claimWith({ selector: {} }), classWith({ reference }), /selector/],
  ])("cannot be made with %s, and it is said", (_, claim, storageClass, message) => {
    expect(() => volumeOf(claim, storageClass)).toThrow(message);
    expect(() => volumeOf(claim, storageClass)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^INVALID_(?:ARGUMENT|REFERENCE)$/) }),
    );
  });

  test("names the class whose fault it is", () => {
    expect(() => volumeOf(claimWith(), classWith({ reference: "::" }))).toThrow(
      /^StorageClass models: /,
    );
  });
});

describe("the secret of a volume", () => {
  test.each([
    ["login", undefined, { name: "login", namespace: "team-a" }],
    ["login", "${pvc.namespace}", { name: "login", namespace: "team-a" }],
    ["login", "shared", { name: "login", namespace: "shared" }],
    ["${pvc.name}-login", "${pvc.namespace}", { name: "weights-login", namespace: "team-a" }],
    ["${pvc.annotations['model']}", undefined, { name: "mistral", namespace: "team-a" }],
    ["${pvc.annotations['model']}", "team-a", { name: "mistral", namespace: "team-a" }],
    ["login-${pvc.namespace}", "shared", { name: "login-team-a", namespace: "shared" }],
    ["${pv.name}", "shared", { name: "pvc-1234", namespace: "shared" }],
  ])("%s in %s", (name, namespace, expected) => {
    expect(secretOf(name, namespace)).toEqual(expected);
  });

  test.each([
    ["login", "${pvc.annotations['model']}"],
    ["login", "${pvc.name}"],
    ["login", "team-${pvc.namespace}"],
    ["login", "${pv.name}"],
    ["${pvc.annotations['model']}", "shared"],
    ["${pvc.name}", "shared"],
    ["x-${pvc.annotations['model']}", "kube-system"],
    ["${pvc.uid}", undefined],
    ["UPPER", undefined],
    ["a/b", undefined],
    ["", undefined],
    ["login", ""],
    ["login", "a/b"],
  ])("%s in %s is nothing that the author of a claim may choose", (name, namespace) => {
    expect(() => secretOf(name, namespace)).toThrow(
      expect.objectContaining({ code: "INVALID_ARGUMENT" }),
    );
  });

  test.each([undefined, "${pvc.annotations['model']}", "${pvc.name}.example.com/team/model:v1"])(
    "of another namespace is not sent to the registry that a claim names: %s",
    (from) => {
      const parameters = {
        ...(from === undefined ? {} : { reference: from }),
        [secretParameters.name]: "login",
        [secretParameters.namespace]: "shared",
      };
      expect(() => volumeOf(claimWith(), classWith(parameters))).toThrow(
        "whatever registry a claim names",
      );
    },
  );

  test("needs a name where it has a namespace", () => {
    const parameters = { reference, [secretParameters.namespace]: "shared" };
    expect(() => volumeOf(claimWith(), classWith(parameters))).toThrow(/without/);
  });
});
