import { ModelError } from "../../../src/core/errors.ts";
import { parseReference } from "../../../src/core/reference.ts";
import { driverName } from "../../../src/kubernetes/names.ts";
import { parseAttributes } from "./driver-rules.ts";
import { unknownName } from "./nearest.ts";
import { at, below, type Fields, isFields, listAt, type Problem, textAt } from "./problem.ts";

/** The registry of all examples: who runs one puts another in its place. */
const exampleHost = "registry.example.com";

/**
 * Checks everything in an object that mounts something, wherever its kind keeps pods: our volumes say
 * what the driver takes and are read-only, and what is mounted is there.
 */
export function checkVolumes(value: unknown, path = "", volumes?: readonly unknown[]): Problem[] {
  if (Array.isArray(value))
    return value.flatMap((each, index) => checkVolumes(each, below(path, index), volumes));
  if (!isFields(value)) return [];
  const outer = [...(volumes ?? []), ...claimTemplates(value)];
  const own = Array.isArray(value["volumes"]) ? [...value["volumes"], ...outer] : outer;
  return [
    ...checkSource(value["csi"], below(path, "csi")),
    ...checkClaim(value["persistentVolumeClaim"], below(path, "persistentVolumeClaim")),
    ...checkMounts(value, path, own),
    ...Object.entries(value).flatMap(([key, each]) => checkVolumes(each, below(path, key), own)),
  ];
}

/** What a StatefulSet gives its pods beside their own volumes. */
function claimTemplates(value: Fields): { name: string | undefined }[] {
  return listAt(value, "volumeClaimTemplates").map((each) => ({
    name: textAt(at(each, "metadata"), "name"),
  }));
}

/** A volume of a driver: ours, read-only, with attributes that it takes. */
function checkSource(csi: unknown, path: string): Problem[] {
  if (!isFields(csi) || !("driver" in csi)) return [];
  const driver = String(csi["driver"]);
  if (driver !== driverName)
    return [{ path: below(path, "driver"), problem: unknownName("driver", driver, [driverName]) }];
  const attributes = csi["volumeAttributes"];
  const problem = findAttributeProblem(isFields(attributes) ? attributes : {});
  return [
    ...(csi["readOnly"] === true
      ? []
      : [{ path: below(path, "readOnly"), problem: "is not true: models are read-only" }]),
    ...(problem === undefined ? [] : [{ path: below(path, "volumeAttributes"), problem }]),
  ];
}

/** What the driver would refuse; undefined where it takes the attributes. */
export function findAttributeProblem(attributes: Fields): string | undefined {
  const words = Object.entries(attributes);
  const wrong = words.find(([, value]) => typeof value !== "string");
  if (wrong !== undefined) return `${wrong[0]} is no text: write it in quotes`;
  try {
    const texts = Object.fromEntries(words.map(([name, value]) => [name, String(value)]));
    return findReferenceProblem(parseAttributes(texts).reference);
  } catch (error) {
    if (!(error instanceof ModelError)) throw error;
    return [error.message, error.hint].filter((part) => part !== undefined).join("; ");
  }
}

/** Why a reference cannot stand in an example; undefined where it can. */
function findReferenceProblem(text: string): string | undefined {
  const reference = parseReference(text);
  if (reference.kind !== "registry" || reference.host !== exampleHost)
    return `${text} is not at ${exampleHost}`;
  return reference.tag === undefined && reference.digest === undefined
    ? `${text} has neither tag nor digest`
    : undefined;
}

function checkClaim(claim: unknown, path: string): Problem[] {
  if (!isFields(claim) || claim["readOnly"] === true) return [];
  return [{ path: below(path, "readOnly"), problem: "is not true: a kubelet asks for read-write" }];
}

function checkMounts(
  value: Fields,
  path: string,
  volumes: readonly unknown[] | undefined,
): Problem[] {
  return listAt(value, "volumeMounts").flatMap((mount, index) => {
    const place = below(below(path, "volumeMounts"), index);
    const name = textAt(mount, "name") ?? "";
    const volume = volumes?.find((each) => textAt(each, "name") === name);
    if (volume === undefined) {
      const names = (volumes ?? []).flatMap((each) => textAt(each, "name") ?? []);
      return [{ path: below(place, "name"), problem: unknownName("volume", name, names) }];
    }
    const isModel = at(volume, "csi") !== undefined || at(volume, "persistentVolumeClaim");
    return isModel && at(mount, "readOnly") !== true
      ? [{ path: below(place, "readOnly"), problem: "is not true: models are read-only" }]
      : [];
  });
}
