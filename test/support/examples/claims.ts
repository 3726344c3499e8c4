import { driverName, referenceAnnotation } from "../../../src/kubernetes/names.ts";
import { ownAttributes } from "./driver-rules.ts";
import { unknownName } from "./nearest.ts";
import { at, below, type Fields, isFields, listAt, type Problem, textAt } from "./problem.ts";
import { findAttributeProblem } from "./volumes.ts";

/** What a provisioner reads of a StorageClass beside the attributes of its volumes. */
const provisionerKeys = [
  "csi.storage.k8s.io/node-publish-secret-name",
  "csi.storage.k8s.io/node-publish-secret-namespace",
];
const noReference = "registry.example.com/none:given";

/** Checks what the objects of one folder say of each other: claims, their volumes and classes. */
export function checkClaims(objects: readonly unknown[]): { object: unknown; problem: Problem }[] {
  const ofKind = (kind: string) => objects.filter((each) => textAt(each, "kind") === kind);
  const classes = ofKind("StorageClass");
  const volumes = ofKind("PersistentVolume");
  const claims = ofKind("PersistentVolumeClaim");
  const tell = (object: unknown, problems: readonly Problem[]) =>
    problems.map((problem) => ({ object, problem }));
  return [
    ...classes.flatMap((each) => tell(each, checkClass(each))),
    ...volumes.flatMap((each) => tell(each, checkVolume(each, claims))),
    ...claims.flatMap((each) => tell(each, checkClaim(each, { classes, volumes }))),
    ...objects.flatMap((each) => tell(each, checkUses(each, claims))),
  ];
}

function checkClass(object: unknown): Problem[] {
  const parameters = fieldsAt(object, "parameters");
  const unknown = Object.keys(parameters)
    .filter((key) => !(key in ownAttributes({ [key]: "" })))
    .filter((key) => !provisionerKeys.includes(key));
  // The reference may be left to the claims.
  const problem = findAttributeProblem({ reference: noReference, ...parameters });
  return [
    ...(textAt(object, "provisioner") === driverName
      ? []
      : [{ path: "provisioner", problem: `is not ${driverName}` }]),
    ...unknown.map((key) => ({
      path: below("parameters", key),
      problem: unknownName("parameter", key, provisionerKeys),
    })),
    ...(problem === undefined ? [] : [{ path: "parameters", problem }]),
  ];
}

function checkVolume(object: unknown, claims: readonly unknown[]): Problem[] {
  const namespace = textAt(object, "spec", "claimRef", "namespace");
  const name = textAt(object, "spec", "claimRef", "name") ?? "";
  const claim = claims.find((each) => nameOf(each) === name);
  const problems: Problem[] = [];
  if (claim === undefined)
    problems.push({
      path: "spec.claimRef.name",
      problem: unknownName("claim", name, claims.map(nameOf)),
    });
  else if (textAt(claim, "metadata", "namespace") !== namespace)
    problems.push({ path: "spec.claimRef.namespace", problem: "is not that of the claim" });
  if (textAt(object, "spec", "csi", "volumeHandle") !== nameOf(object))
    problems.push({
      path: "spec.csi.volumeHandle",
      problem: "is not the volume's name: two volumes may not share a handle",
    });
  return problems;
}

/** A claim of a model names its volume or a class of ours. Others, which write, are not our matter. */
function checkClaim(
  object: unknown,
  { classes, volumes }: { classes: readonly unknown[]; volumes: readonly unknown[] },
): Problem[] {
  const modes = listAt(at(object, "spec"), "accessModes");
  const readsOnly = modes.length === 1 && modes[0] === "ReadOnlyMany";
  const volume = textAt(object, "spec", "volumeName");
  const className = textAt(object, "spec", "storageClassName") ?? "";
  const ofVolume = volumes.some((each) => nameOf(each) === volume);
  const ofClass = classes.find((each) => nameOf(each) === className);
  if (ofVolume || ofClass !== undefined) {
    const wrongMode = { path: "spec.accessModes", problem: "a model is ReadOnlyMany" };
    return [...(readsOnly ? [] : [wrongMode]), ...checkAnnotation(object, ofClass)];
  }
  if (!readsOnly) return [];
  return volume === undefined
    ? [
        {
          path: "spec.storageClassName",
          problem: unknownName("class", className, classes.map(nameOf)),
        },
      ]
    : [{ path: "spec.volumeName", problem: unknownName("volume", volume, volumes.map(nameOf)) }];
}

/** Where the class names no model, the claim does. */
function checkAnnotation(claim: unknown, ofClass: unknown): Problem[] {
  if (ofClass === undefined) return [];
  const annotations = fieldsAt(claim, "metadata", "annotations");
  const inClass = fieldsAt(ofClass, "parameters")["reference"];
  const reference = inClass ?? annotations[referenceAnnotation] ?? "";
  const problem = findAttributeProblem({ reference });
  const path = below("metadata.annotations", referenceAnnotation);
  return problem === undefined ? [] : [{ path, problem }];
}

/** Claims that are mounted, or named as `pvc://claim`, are in the same folder. */
function checkUses(object: unknown, claims: readonly unknown[], path = ""): Problem[] {
  if (Array.isArray(object))
    return object.flatMap((each, index) => checkUses(each, claims, below(path, index)));
  if (typeof object === "string") {
    const name = /^pvc:\/\/([^/]+)/.exec(object)?.[1];
    return name === undefined ? [] : findClaim(name, claims, path);
  }
  if (!isFields(object)) return [];
  return Object.entries(object).flatMap(([key, each]) =>
    key === "claimName" && typeof each === "string"
      ? findClaim(each, claims, below(path, key))
      : checkUses(each, claims, below(path, key)),
  );
}

function findClaim(name: string, claims: readonly unknown[], path: string): Problem[] {
  return claims.some((each) => nameOf(each) === name)
    ? []
    : [{ path, problem: unknownName("claim", name, claims.map(nameOf)) }];
}

function nameOf(object: unknown): string {
  return textAt(object, "metadata", "name") ?? "";
}

function fieldsAt(object: unknown, ...keys: readonly string[]): Fields {
  const found = at(object, ...keys);
  return isFields(found) ? found : {};
}
