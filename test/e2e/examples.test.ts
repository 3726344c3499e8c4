import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { parseReference } from "../../src/core/reference.ts";
import {
  type ControlPlane,
  controlPlaneTools,
  startControlPlane,
} from "../support/control-plane.ts";
import { findCoreKind } from "../support/examples/core-kinds.ts";
import { checkManifest } from "../support/examples/manifests.ts";
import { podsWithin } from "../support/examples/pods.ts";
import { judge } from "../support/judge.ts";
import {
  findObject,
  flagOf,
  type Manifest,
  mountOf,
  parseManifests,
  podOf,
  render,
  volumeOf,
} from "../support/manifests.ts";
import { makeTemporaryFolder } from "../support/models.ts";
import { toolsMissing } from "../support/programs.ts";

const repository = join(import.meta.dirname, "../..");
/** CustomResourceDefinitions, no part of the repository; without them custom kinds are left out. */
const definitions = resolve(repository, process.env["BALLAST_CRDS"] ?? "../shared/crds");
const folders = await findKustomizations("examples");

describe.skipIf(toolsMissing("kustomize", ...controlPlaneTools))("the example", () => {
  const stack = new AsyncDisposableStack();
  let plane: ControlPlane;

  beforeAll(async () => {
    const { path } = stack.use(await makeTemporaryFolder());
    plane = stack.use(
      await startControlPlane({
        folder: path,
        // examples/gang and examples/scale-to-zero/hpa say that they need these.
        apiServerFlags: [
          "--runtime-config=scheduling.k8s.io/v1alpha2=true",
          "--feature-gates=GenericWorkload=true,HPAScaleToZero=true",
        ],
      }),
    );
    if (existsSync(definitions)) await define(plane);
  });
  afterAll(() => stack.disposeAsync());

  test.each(folders)("%s is what an API server takes, and so is each pod in it", async (folder) => {
    const objects = parseManifests(await render(folder)).filter(isDefined);
    const pods = objects.filter(({ kind }) => kind !== "Pod").flatMap(podsWithin);
    const yaml = [...objects, ...pods].map((each) => JSON.stringify(each)).join("\n---\n");
    expect(await judge(plane, yaml)).toEqual([]);
  });

  test("examples/llm-d/kustomize mounts the model into what a guide renders", async () => {
    const objects = parseManifests(await render("examples/llm-d/kustomize"));
    const decode = findObject(objects, "Deployment", "decode");
    expect(checkManifest(decode, undefined).problems).toEqual([]);
    const [container] = podOf(decode)["containers"];
    expect(container.args[0]).toBe("/models");
    const mount = mountOf(container, container.args[0]);
    expect(mount).toMatchObject({ readOnly: true });
    expect(volumeOf(podOf(decode), mount["name"])["csi"].driver).toBe("csi.ballast.dev");
  });

  test("examples/pod has a volume of each kind, public and with a login", async () => {
    const objects = parseManifests(await render("examples/pod"));
    const kinds = volumesOfDriver(objects).map(
      ({ volumeHandle, nodePublishSecretRef }) =>
        `${volumeHandle === undefined ? "inline" : "claim"} ${nodePublishSecretRef?.name}`,
    );
    expect(kinds.toSorted()).toEqual([
      "claim regcred",
      "claim undefined",
      "inline regcred",
      "inline undefined",
    ]);
  });

  test.each([
    [
      "a folder of the node",
      "examples/pod",
      /persistentVolumeClaim:\n\s+claimName: claim\n\s+readOnly: true\n/,
      "hostPath: {path: /models}\n",
      /violates PodSecurity "restricted/,
    ],
    [
      "a field that is not there",
      "examples/vllm",
      /volumeAttributes:/,
      "volumeAtributes:",
      /unknown field "spec.template.spec.volumes\[0\].csi.volumeAtributes"/,
    ],
  ])("would not be taken with %s", async (_, folder, from, to, why) => {
    const yaml = await render(folder);
    const worse = yaml.replace(from, to);
    expect(worse).not.toBe(yaml);
    expect((await judge(plane, worse)).join("\n")).toMatch(why);
  });

  test.each(existsSync(definitions) ? ["examples/kubeai"] : [])(
    "%s is judged by the rules in CEL of its kind, too",
    async (folder) => {
      const yaml = await render(folder);
      const worse = yaml.replace("pvc://qwen-kubeai", "oci://registry.example.com/team/qwen:v1");
      expect(worse).not.toBe(yaml);
      expect((await judge(plane, worse)).join("\n")).toMatch(/url must start with/);
    },
  );

  test("examples/vllm mounts what vLLM is told to serve, by digest", async () => {
    const objects = parseManifests(await render("examples/vllm"));
    const pod = podOf(findObject(objects, "Deployment", "qwen"));
    const [container] = pod["containers"];
    const mount = mountOf(container, flagOf(container, "--model"));
    expect(mount).toMatchObject({ readOnly: true });
    const { reference } = volumeOf(pod, mount["name"])["csi"].volumeAttributes;
    expect(parseReference(reference)).toHaveProperty("digest");
  });

  test("of each folder is listed in examples/README.md, with a README of its own", async () => {
    const examples = join(repository, "examples");
    const list = await readFile(join(examples, "README.md"), "utf8");
    const entries = await readdir(examples, { withFileTypes: true });
    for (const { name } of entries.filter((entry) => entry.isDirectory()))
      expect(list).toContain(`[${name}](${name}/`);
  });
});

/** Kinds whose definition is not collected, or not at hand, are not known to the server. */
function isDefined({ apiVersion, kind }: Manifest): boolean {
  if (findCoreKind(apiVersion, kind) !== undefined) return true;
  return existsSync(definitions) && apiVersion !== "keda.sh/v1alpha1";
}

/** Has the server know the custom kinds; it evaluates their rules. */
async function define(plane: ControlPlane): Promise<void> {
  const files = (await readdir(definitions)).filter((file) => /\.ya?ml$/.test(file));
  const paths = files.map((file) => `--filename=${join(definitions, file)}`);
  await plane.kubectl(["create", ...paths]);
  const wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"];
  // It fails at once where one has no conditions yet.
  await vi.waitFor(() => plane.kubectl(wait), { timeout: 120_000, interval: 1000 });
}

/** Folders that `kubectl apply -k` takes, as paths in the repository. */
async function findKustomizations(root: string): Promise<string[]> {
  const entries = await readdir(join(repository, root), { recursive: true });
  const files = entries.filter((entry) => entry.endsWith("kustomization.yaml"));
  const kept: string[] = [];
  for (const file of files.toSorted()) {
    const text = await readFile(join(repository, root, file), "utf8");
    if (!text.includes("kind: Component")) kept.push(join(root, file, ".."));
  }
  return kept;
}

/** What pods and PersistentVolumes say to our driver. */
function volumesOfDriver(objects: readonly Manifest[]): Manifest[] {
  return objects
    .flatMap(({ kind, spec }) => {
      if (kind === "PersistentVolume") return [spec.csi];
      return kind === "Pod" ? spec.volumes.map(({ csi }: Manifest) => csi) : [];
    })
    .filter((csi) => csi?.driver === "csi.ballast.dev");
}
