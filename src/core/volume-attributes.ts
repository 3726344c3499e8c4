import { ModelError } from "./errors.ts";
import { parseReference } from "./reference.ts";

type StringMap = Readonly<Record<string, string>>;

/** Which files of which model a volume shows. */
export interface VolumeAttributes {
  readonly reference: string;
  readonly include: string[] | undefined;
  readonly exclude: string[] | undefined;
  readonly warm: boolean;
}

/** How every volume is mounted; asking for it changes nothing. */
const mountOptions: readonly string[] = ["ro", "nosuid", "nodev", "noexec"];

const known = ["reference", "include", "exclude", "warm", "mode"] as const;
/** Keys of a kubelet, and of the provisioner that writes PersistentVolumes. */
const foreign = /^(?:csi\.storage\.k8s\.io\/|storage\.kubernetes\.io\/csiProvisionerIdentity$)/;

/**
 * Reads the attributes of a volume, or the parameters of a StorageClass. Throws INVALID_ARGUMENT or
 * INVALID_REFERENCE, with the names that exist, for anything else than docs/csi.md describes.
 */
export function parseAttributes(attributes: StringMap): VolumeAttributes {
  const own = ownAttributes(attributes);
  const unknown = Object.keys(own).filter((name) => !known.some((each) => each === name));
  if (unknown.length > 0)
    throw refuse(
      `no volume attribute ${unknown.map(quote).join(", ")}`,
      `there is ${known.join(", ")}`,
    );
  const { mode = "eager", reference = "", include, exclude, warm } = own;
  if (mode === "lazy")
    throw refuse("mode lazy is not there yet", "leave mode out: the pod waits for its files");
  if (mode !== "eager") throw refuse(`no mode ${quote(mode)}`, "leave mode out, or say eager");
  return {
    reference: checkReference(reference),
    include: parseGlobs("include", include),
    exclude: parseGlobs("exclude", exclude),
    warm: parseBoolean("warm", warm),
  };
}

/** The attributes without those that the cluster adds. */
export function ownAttributes(attributes: StringMap): Record<string, string> {
  return Object.fromEntries(Object.entries(attributes).filter(([name]) => !foreign.test(name)));
}

/** Throws INVALID_ARGUMENT for mount options that a model cannot have. */
export function checkMountOptions(options: readonly string[]): void {
  const others = options.filter((option) => !mountOptions.includes(option));
  if (others.length === 0) return;
  throw refuse(
    `a model cannot be mounted with ${others.length === 1 ? "that mount option" : "these mount options"}`,
    `leave mountOptions out: it is always ${mountOptions.join(",")}`,
  );
}

/** A folder of the node is nothing that a pod may name. */
function checkReference(text: string): string {
  if (text === "")
    throw refuse("the volume names no model", "reference: registry.example.com/team/model:v1");
  if (parseReference(text).kind !== "registry")
    throw refuse(`${quote(text)} is in no registry`, "a volume's model comes from a registry");
  return text;
}

/** Globs are separated by commas or line ends; a comma between braces belongs to its glob. */
function parseGlobs(name: string, text: string | undefined): string[] | undefined {
  if (text === undefined) return undefined;
  const globs = text.match(/(?:\{[^}]*\}|[^,\n{])+/g)?.map((glob) => glob.trim()) ?? [];
  const chosen = globs.filter((glob) => glob !== "");
  if (chosen.length === 0 || text.replace(/\{[^}]*\}/g, "").includes("{"))
    throw refuse(`${name} is ${quote(text)}`, "give globs such as *.safetensors,tokenizer*");
  return chosen;
}

function parseBoolean(name: string, text = "false"): boolean {
  if (text === "true" || text === "false") return text === "true";
  throw refuse(`${name} is ${quote(text)}`, "say true or false");
}

function refuse(problem: string, hint: string): ModelError {
  return new ModelError("INVALID_ARGUMENT", problem, { hint });
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 200));
}
