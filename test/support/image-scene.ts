import { randomUUID } from "node:crypto";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArchitecture } from "../../deploy/package/architecture.ts";
import { makeImage } from "../../deploy/package/image.ts";
import { readVersion } from "../../src/core/version.ts";
import { readMountTable } from "../../src/mount/mount-table.ts";
import { unmountFlags, unmountPath } from "../../src/mount/system-calls.ts";
import { run } from "./disk-mounts.ts";
import { type UnpackedImage, unpackImage } from "./image-rootfs.ts";
import {
  findObject,
  type Manifest,
  parseManifests,
  podOf,
  render,
  renderWith,
} from "./manifests.ts";
import { makeTemporaryFolder } from "./models.ts";
import type { ImageDefaults, PodContainer } from "./pod-container.ts";

/** The image, and a node of its own folders that pods of a kustomization have for `/var/lib` and `/run`. */
export interface ImageScene extends AsyncDisposable {
  readonly path: string;
  /** The image's layout folder, and its tag there. */
  readonly layout: string;
  readonly tag: string;
  readonly unpacked: UnpackedImage;
  /** What the node has in place of /var/lib/kubelet, /var/lib/ballast and /run/ballast. */
  readonly kubeletRoot: string;
  readonly store: string;
  readonly run: string;
  readonly agent: PodParts;
  readonly plugin: PodParts;
}

/** A pod's containers, ready to be started from the image. */
interface PodParts {
  readonly inits: readonly PodContainer[];
  readonly main: PodContainer;
}

/** How the plugin mounts, by the kustomization that says so. */
type Privilege = "privileged" | "capabilities";

/** Makes the image and a node's folders; agents may pull from `registry`. All is gone at its end. */
export async function openImageScene(
  registry: string,
  privilege: Privilege = "privileged",
): Promise<ImageScene> {
  await using resources = new AsyncDisposableStack();
  const { path } = resources.use(await makeTemporaryFolder());
  await chmod(path, 0o755);
  resources.defer(() => unmountBelow(path));
  const inside = (...names: string[]) => join(path, ...names);
  const layout = inside("layout");
  const architecture = parseArchitecture(process.arch);
  const { tag } = await makeImage(layout, { architecture, version: readVersion() });
  const unpacked = await unpackImage(layout, tag, inside("rootfs"));
  const folders = { kubeletRoot: inside("k"), store: inside("s"), run: inside("r") };
  await mkdir(folders.kubeletRoot);
  run("mount", "--bind", folders.kubeletRoot, folders.kubeletRoot);
  // What a container mounts there is seen here only if it is shared, as a node's root is.
  const sharing = privilege === "privileged" ? "--make-shared" : "--make-private";
  run("mount", sharing, folders.kubeletRoot);
  const volumes = await makeVolumes(path, registry);
  const objects = await renderFor(privilege, folders);
  const parts = (name: string) =>
    partsOf(podOf(findObject(objects, "DaemonSet", name)), unpacked, volumes);
  const owned = resources.move();
  return {
    path,
    layout,
    tag,
    unpacked,
    ...folders,
    agent: parts("ballast-agent"),
    plugin: parts("ballast-csi"),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The manifests as for a node whose folders are elsewhere, as operators patch them too. */
async function renderFor(
  privilege: Privilege,
  folders: Pick<ImageScene, "kubeletRoot" | "store" | "run">,
): Promise<Manifest[]> {
  const base = "deploy/kustomize/base";
  const yaml =
    privilege === "privileged"
      ? await render(base)
      : await renderWith(base, `deploy/kustomize/${privilege}`);
  return parseManifests(
    yaml
      .replaceAll("/var/lib/kubelet", folders.kubeletRoot)
      .replaceAll("/var/lib/ballast", folders.store)
      .replaceAll("/run/ballast", folders.run)
      // Process 1 may be elsewhere than who looks at the mounts.
      .replaceAll("/proc/1/ns", `/proc/${process.pid}/ns`),
  );
}

async function makeVolumes(path: string, registry: string): Promise<Record<string, string>> {
  const folder = async (name: string) => {
    const made = join(path, "volumes", name);
    await mkdir(made, { recursive: true });
    return made;
  };
  const config = await folder("config");
  await writeFile(
    join(config, "agent.yaml"),
    JSON.stringify({ registries: { allow: [registry] } }),
  );
  return { config, registry: await folder("registry"), ca: await folder("ca") };
}

function partsOf(
  pod: Manifest,
  image: ImageDefaults,
  volumes: Readonly<Record<string, string>>,
): PodParts {
  const part = (container: Manifest): PodContainer => ({
    image,
    pod,
    container,
    volumes,
    fieldRefs: { NODE_NAME: `node-${randomUUID()}` },
  });
  const [main] = pod["containers"];
  return { inits: (pod["initContainers"] ?? []).map(part), main: part(main) };
}

async function unmountBelow(path: string): Promise<void> {
  const table = await readMountTable();
  for (const { mountPoint } of table.toReversed())
    if (`${mountPoint}/`.startsWith(`${path}/`))
      unmountPath(mountPoint, unmountFlags.detach, mountPoint);
}
