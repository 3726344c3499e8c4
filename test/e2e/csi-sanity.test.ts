import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { modelReference, nothingLeft, openCsiScene } from "../support/csi-scene.ts";
import { mountsMissing } from "../support/disk-mounts.ts";
import { apart, mountHere } from "../support/other-mounts.ts";
import { toolPath, toolsMissing } from "../support/programs.ts";

/** No test is left out by name: what is skipped skips itself, for want of a capability. */
describe.skipIf(toolsMissing("csi-sanity") || mountsMissing())("csi-sanity", () => {
  test.each([
    ["", { wrapper: [], flags: [] }],
    [" that mounts in the node's namespace", { wrapper: apart(), flags: mountHere }],
  ])("finds no fault in the plugin%s, and leaves nothing behind", async (_, { wrapper, flags }) => {
    await using scene = await openCsiScene();
    const policy = ["--pods", "optional"];
    await using plugin = await scene.startProcess({ wrapper, flags: [...policy, ...flags] });
    const parameters = join(scene.path, "parameters.yaml");
    await writeFile(parameters, `reference: ${modelReference}\n`);
    const secrets = join(scene.path, "secrets.yaml");
    const secret = "\n  username: user\n  password: hush\n";
    await writeFile(secrets, `NodePublishVolumeSecret:${secret}CreateVolumeSecret:${secret}`);
    const folder = join(scene.kubelet.root, "sanity");
    await mkdir(folder);
    const { stdout } = await promisify(execFile)(
      toolPath("csi-sanity"),
      [
        `--csi.endpoint=unix://${scene.endpoint}`,
        `--csi.mountdir=${join(folder, "mount")}`,
        `--csi.stagingdir=${join(folder, "staging")}`,
        `--csi.testvolumeparameters=${parameters}`,
        `--csi.secrets=${secrets}`,
        "--ginkgo.no-color",
      ],
      { maxBuffer: 64 * 1024 * 1024 },
    ).catch((error: unknown) => {
      throw new Error(String(Reflect.get(Object(error), "stdout")).slice(-8000), { cause: error });
    });
    const [, passed = "", failed = "", skipped = ""] =
      /(\d+) Passed \| (\d+) Failed \| \d+ Pending \| (\d+) Skipped/.exec(stdout) ?? [];
    console.log(`csi-sanity: ${passed} passed, ${failed} failed, ${skipped} skipped themselves`);
    expect(Number(failed)).toBe(0);
    expect(Number(passed)).toBeGreaterThan(25);
    expect(plugin.logs()).not.toContain("hush");
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });
});
