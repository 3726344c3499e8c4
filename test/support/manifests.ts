import { execFile } from "node:child_process";
import { realpath, writeFile } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { promisify } from "node:util";
import { parseAllDocuments } from "yaml";
import { makeTemporaryFolder } from "./models.ts";
import { toolPath } from "./programs.ts";

const repository = join(import.meta.dirname, "../..");

/** A Kubernetes object as its YAML has it; tests look at what they know to be there. */
// oxlint-disable-next-line typescript/no-explicit-any -- the API's types are not ours to repeat
export type Manifest = Record<string, any>;

/** Renders a kustomization, by its folder in the repository or an absolute path, to YAML. */
export async function render(folder: string): Promise<string> {
  const args = ["build", resolve(repository, folder)];
  return (await promisify(execFile)(toolPath("kustomize"), args)).stdout;
}

/** Renders a kustomization with a component of the repository, as somebody's own has them. */
export async function renderWith(folder: string, component: string): Promise<string> {
  await using own = await makeTemporaryFolder();
  const path = await realpath(own.path);
  const top = await realpath(repository);
  const written = {
    resources: [relative(path, join(top, folder))],
    components: [relative(path, join(top, component))],
  };
  await writeFile(join(path, "kustomization.yaml"), JSON.stringify(written));
  return await render(path);
}

/** The objects of a YAML stream. Throws where one cannot be parsed. */
export function parseManifests(yaml: string): Manifest[] {
  return parseAllDocuments(yaml).map((document) => {
    if (document.errors[0] !== undefined) throw document.errors[0];
    return document.toJS() as Manifest;
  });
}

/** One of the objects. Throws where it is not there. */
export function findObject(objects: readonly Manifest[], kind: string, name: string): Manifest {
  const found = objects.find((each) => each["kind"] === kind && each["metadata"].name === name);
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
  return found;
}

/** The spec of the pods that a Deployment or DaemonSet makes. */
export function podOf(object: Manifest): Manifest {
  return object["spec"].template.spec;
}

/** All containers of a pod's spec. */
export function containersOf(pod: Manifest): Manifest[] {
  return [...(pod["initContainers"] ?? []), ...pod["containers"]];
}

/** The volume of a pod by its name. Throws where it is not there. */
export function volumeOf(pod: Manifest, name: string): Manifest {
  const found = pod["volumes"].find((each: Manifest) => each["name"] === name);
  if (found === undefined) throw new Error(`there is no volume ${name}`);
  return found;
}

/** What of a container's mounts shows `path`, the one that goes deepest. Throws where none does. */
export function mountOf(container: Manifest, path: string): Manifest {
  const mounts = container["volumeMounts"]
    .filter(({ mountPath }: Manifest) => `${path}/`.startsWith(`${mountPath}/`))
    .toSorted((a: Manifest, b: Manifest) => b["mountPath"].length - a["mountPath"].length);
  if (mounts.length === 0) throw new Error(`nothing is mounted at ${path}`);
  return mounts[0];
}

/** The value of a container's flag, written `--flag=value`. Throws where it has none. */
export function flagOf(container: Manifest, flag: string): string {
  const words: string[] = [...(container["command"] ?? []), ...(container["args"] ?? [])];
  const found = words.find((word) => word.startsWith(`${flag}=`));
  if (found === undefined) throw new Error(`there is no ${flag}`);
  return found.slice(flag.length + 1);
}
