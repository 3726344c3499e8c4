import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseReference } from "../../src/core/reference.ts";
import {
  findObject,
  flagOf,
  judge,
  type Manifest,
  mountOf,
  parseManifests,
  podOf,
  render,
  volumeOf,
} from "../support/manifests.ts";
import { toolsMissing } from "../support/programs.ts";

const examples = join(import.meta.dirname, "../../examples");

describe.skipIf(toolsMissing("kustomize", "check-manifests"))("the example", () => {
  test.each(["examples/pod", "examples/vllm"])("%s is what an API server takes", async (folder) => {
    const yaml = await render(folder);
    expect(await judge(yaml)).toEqual([]);
    const volumes = volumesOfDriver(parseManifests(yaml));
    expect(volumes.length).toBeGreaterThan(0);
    for (const { readOnly, volumeAttributes } of volumes) {
      expect(readOnly).toBe(true);
      expect(parseReference(volumeAttributes.reference)).toMatchObject({
        host: "registry.example.com",
      });
    }
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
    for (const volume of objects.filter(({ kind }) => kind === "PersistentVolume")) {
      const { claimRef, csi } = volume["spec"];
      const claim = findObject(objects, "PersistentVolumeClaim", claimRef.name);
      expect(claim["metadata"].namespace).toBe(claimRef.namespace);
      expect(claim["spec"].volumeName).toBe(volume["metadata"].name);
      expect(csi.volumeHandle).toBe(volume["metadata"].name);
    }
  });

  test("examples/pod would not be taken with a folder of the node", async () => {
    const yaml = await render("examples/pod");
    const claim = /persistentVolumeClaim:\n\s+claimName: claim\n\s+readOnly: true\n/;
    const worse = yaml.replace(claim, "hostPath: {path: /models}\n");
    expect(worse).not.toBe(yaml);
    expect((await judge(worse)).join("\n")).toMatch(/pod security restricted/);
  });

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
    const list = await readFile(join(examples, "README.md"), "utf8");
    const entries = await readdir(examples, { withFileTypes: true });
    for (const { name } of entries.filter((entry) => entry.isDirectory()))
      expect(list).toContain(`[${name}](${name}/`);
    for (const folder of ["pod", "vllm"]) {
      const lines = (await readFile(join(examples, folder, "README.md"), "utf8"))
        .trim()
        .split("\n");
      expect(lines.length).toBeLessThanOrEqual(7);
    }
  });
});

/** What pods and PersistentVolumes say to our driver. */
function volumesOfDriver(objects: readonly Manifest[]): Manifest[] {
  return objects
    .flatMap(({ kind, spec }) => {
      if (kind === "PersistentVolume") return [spec.csi];
      if (kind === "Pod") return spec.volumes.map(({ csi }: Manifest) => csi);
      return kind === "Deployment"
        ? spec.template.spec.volumes.map(({ csi }: Manifest) => csi)
        : [];
    })
    .filter((csi) => csi?.driver === "csi.ballast.dev");
}
