import { expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { checkClaims } from "../support/examples/claims.ts";

const objects = `
apiVersion: v1
kind: PersistentVolume
metadata: {name: volume}
spec:
  claimRef: {namespace: team, name: fixed}
  csi: {driver: csi.ballast.dev, volumeHandle: volume}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: fixed, namespace: team}
spec: {accessModes: [ReadOnlyMany], storageClassName: "", volumeName: volume}
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: models}
provisioner: csi.ballast.dev
parameters:
  warm: "true"
  csi.storage.k8s.io/node-publish-secret-name: regcred
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: made
  namespace: team
  annotations: {ballast.dev/reference: "registry.example.com/team/model:v1"}
spec: {accessModes: [ReadOnlyMany], storageClassName: models}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: output, namespace: team}
spec: {accessModes: [ReadWriteMany]}
---
apiVersion: v1
kind: Pod
metadata: {name: pod}
spec:
  volumes:
    - {name: a, persistentVolumeClaim: {claimName: output}}
    - {name: b, persistentVolumeClaim: {claimName: made}}
---
apiVersion: example.com/v1
kind: Model
spec: {url: "pvc://fixed"}
`;

function check(yaml: string): string[] {
  const parsed = parseAllDocuments(yaml).map((document) => document.toJS());
  return checkClaims(parsed).map(({ problem: { path, problem } }) => `${path}: ${problem}`);
}

test("claims, volumes and classes that fit together pass", () => {
  expect(check(objects)).toEqual([]);
});

test.each([
  [
    "a volume for no claim",
    "name: fixed}\n  csi",
    "name: fixt}\n  csi",
    "spec.claimRef.name: unknown claim fixt, did you mean fixed?",
  ],
  [
    "a volume for a claim elsewhere",
    "namespace: team, name: fixed",
    "namespace: other, name: fixed",
    "spec.claimRef.namespace: is not that of the claim",
  ],
  [
    "a handle that another volume may have",
    "volumeHandle: volume",
    "volumeHandle: model",
    "spec.csi.volumeHandle: is not the volume's name",
  ],
  [
    "a claim of no volume",
    "volumeName: volume",
    "volumeName: other",
    "spec.volumeName: unknown volume other",
  ],
  [
    "a claim of no class",
    "storageClassName: models",
    "storageClassName: modles",
    "spec.storageClassName: unknown class modles, did you mean models?",
  ],
  [
    "a claim that writes to a model",
    "[ReadOnlyMany], storageClassName: models",
    "[ReadWriteOnce], storageClassName: models",
    "spec.accessModes: a model is ReadOnlyMany",
  ],
  [
    "a claim that names no model",
    "annotations: {ballast.dev/reference:",
    "annotations: {ballast.dev/refrence:",
    "the volume names no model",
  ],
  [
    "another provisioner",
    "provisioner: csi.ballast.dev",
    "provisioner: csi.balast.dev",
    "provisioner: is not csi.ballast.dev",
  ],
  ["an unknown parameter", 'warm: "true"', 'warn: "true"', 'no volume attribute "warn"'],
  [
    "a secret that nothing reads",
    "node-publish-secret-name",
    "node-stage-secret-name",
    "unknown parameter csi.storage.k8s.io/node-stage-secret-name",
  ],
  [
    "a pod with no claim",
    "claimName: made",
    "claimName: maid",
    "spec.volumes[1].persistentVolumeClaim.claimName: unknown claim maid, did you mean made?",
  ],
  [
    "a URL of no claim",
    "pvc://fixed",
    "pvc://fixd",
    "spec.url: unknown claim fixd, did you mean fixed?",
  ],
])("%s is found", (_, from, to, why) => {
  expect(objects).toContain(from);
  expect(check(objects.replace(from, to))).toContainEqual(expect.stringContaining(why));
});
