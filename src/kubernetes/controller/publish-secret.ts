import { ModelError } from "../../core/errors.ts";
import type { PersistentVolumeClaim, StorageClass } from "../api/objects.ts";
import { fillTemplate } from "./template.ts";

/** The parameters that name the secret of a volume, as external-provisioner has them. */
export const secretParameters = {
  name: "csi.storage.k8s.io/node-publish-secret-name",
  namespace: "csi.storage.k8s.io/node-publish-secret-namespace",
} as const;

const namePattern = /^[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?$/;
const ownNamespace = "${pvc.namespace}";

/**
 * The secret that a StorageClass gives to the volume of a claim; undefined where it gives none. Its
 * namespace is the claim's own, or stands in the class as it is: no template makes another. What the
 * author of a claim chooses, its name and annotations, chooses among secrets of the claim's own
 * namespace only; and a secret of another is sent to no registry but one that the class names.
 * Throws INVALID_ARGUMENT.
 */
export function publishSecretOf(
  claim: PersistentVolumeClaim,
  { parameters = {} }: StorageClass,
  volumeName: string,
): { readonly name: string; readonly namespace: string } | undefined {
  const { name, namespace = "", annotations = {} } = claim.metadata;
  const { [secretParameters.name]: nameTemplate } = parameters;
  const { [secretParameters.namespace]: place = ownNamespace } = parameters;
  if (nameTemplate === undefined) {
    if (parameters[secretParameters.namespace] === undefined) return undefined;
    throw refuse(`it has ${secretParameters.namespace} without ${secretParameters.name}`);
  }
  if (place !== ownNamespace && place.includes("${"))
    throw refuse(
      `${secretParameters.namespace} is ${place}`,
      `say ${ownNamespace}, or a namespace in plain text`,
    );
  const secretNamespace = place === ownNamespace ? namespace : place;
  if (secretNamespace !== namespace && !namesRegistry(parameters["reference"]))
    throw refuse(
      `it lends a secret of ${secretNamespace} to whatever registry a claim names`,
      "begin its reference with the registry: registry.example.com/${pvc.namespace}/model:v1",
    );
  const safe = { "pv.name": volumeName, "pvc.namespace": namespace };
  const values =
    secretNamespace === namespace
      ? { variables: { ...safe, "pvc.name": name ?? "" }, annotations }
      : { variables: safe };
  const secretName = fillTemplate(secretParameters.name, nameTemplate, values);
  for (const text of [secretName, secretNamespace])
    if (!namePattern.test(text)) throw refuse(`${JSON.stringify(text)} is no name of a secret`);
  return { name: secretName, namespace: secretNamespace };
}

/** Whether the host of a reference is not what the author of a claim chooses. */
function namesRegistry(reference: string | undefined): boolean {
  return reference !== undefined && !reference.split("/", 1).join().includes("$");
}

function refuse(problem: string, hint?: string): ModelError {
  return new ModelError("INVALID_ARGUMENT", problem, { hint });
}
