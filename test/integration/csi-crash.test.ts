import { mkdir, readdir, rm, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { digestHex, digestOf } from "../../src/core/digest.ts";
import { type CsiScene, nothingLeft, openCsiScene } from "../support/csi-scene.ts";
import { mountsMissing, run } from "../support/disk-mounts.ts";

/** A published volume's places, to take apart what a crash would have left unmade. */
interface Places {
  readonly scene: CsiScene;
  readonly target: string;
  readonly leaseId: string;
  readonly state: string;
}

type Step = (places: Places) => Promise<void> | void;
const unmount: Step = ({ target }) => void run("umount", target);
const removeFolder: Step = ({ target }) => rmdir(target);
const removeState: Step = ({ state }) => rm(state);
const spoilState: Step = ({ state }) => writeFile(state, '{"phase":"publi');
const emptyState: Step = ({ state }) => writeFile(state, "");
const leaveTemporary: Step = ({ state }) => writeFile(`${state}.tmp-00`, "{");
const removeLease: Step = ({ scene, leaseId }) => void scene.agent.leases.delete(leaseId);
const beginRelease: Step = ({ state, target }) =>
  writeFile(state, JSON.stringify({ phase: "releasing", target }));
const mountTwice: Step = ({ scene, target }) =>
  void run("mount", "--bind", join(scene.agent.storeRoot, "trees"), target);

const crashes: readonly (readonly [string, readonly Step[]])[] = [
  ["the lease, before the state is written", [unmount, removeFolder, removeState]],
  ["the first bytes of the state", [unmount, removeFolder, removeState, leaveTemporary]],
  ["the state, before the folder is made", [unmount, removeFolder]],
  ["the folder, before the mount", [unmount]],
  ["the mount, before the answer", []],
  ["the mount, and then lost its state", [removeState]],
  ["the mount, and then its state was damaged", [spoilState]],
  ["the mount, and then its state was emptied", [emptyState]],
  ["the mount, and then the agent lost the lease", [removeLease]],
  ["the unmount, before the folder is removed", [unmount]],
  ["the removed folder, before the release", [unmount, removeFolder]],
  ["the release, before the state is removed", [unmount, removeFolder, removeLease]],
  ["a release that is still to be made", [unmount, removeFolder, beginRelease]],
  ["a release that is made but not noted", [unmount, removeFolder, removeLease, beginRelease]],
];

describe.skipIf(mountsMissing())("a plugin that was killed while it mounted", () => {
  test("takes its unfinished mounts and files away when it starts", async () => {
    await using scene = await openCsiScene();
    const place = join(scene.stateFolder, "mounting", "a");
    await mkdir(join(place, "mount"), { recursive: true });
    run("mount", "--bind", place, place);
    await mkdir(join(place, "mount"), { recursive: true });
    run("mount", "--bind", scene.agent.storeRoot, join(place, "mount"));
    await mkdir(join(scene.stateFolder, "volumes"));
    const unfinished = join(scene.stateFolder, "volumes", `${"0".repeat(64)}.json.tmp-00`);
    await writeFile(unfinished, "{");
    await scene.start();
    expect(await scene.mounts()).toEqual([]);
    expect(await readdir(join(scene.stateFolder, "mounting"))).toEqual([]);
    expect(await readdir(join(scene.stateFolder, "volumes"))).toEqual([]);
    expect(await readdir(scene.agent.storeRoot)).toEqual(["trees"]);
  });
});

describe.skipIf(mountsMissing())("a plugin that crashed after", () => {
  test.each(crashes)("%s publishes the volume when asked again", async (_, steps) => {
    await using scene = await openCsiScene();
    const volume = await crash(scene, steps);
    await scene.start({ patience: { reconcileMs: 3_600_000 } });
    expect(await scene.kubelet.publish(volume)).toMatchObject({ code: status.OK });
    expect(await readdir(scene.kubelet.targetOf(volume))).toEqual(["config.json", "weights"]);
    expect(await scene.mounts()).toHaveLength(1);
    expect(await scene.kubelet.publish(volume)).toMatchObject({ code: status.OK });
    expect(await scene.kubelet.stats(volume)).toHaveLength(2);
    await scene.kubelet.deletePod(volume);
    expect(await scene.leftovers()).toEqual(nothingLeft);
  });

  test.each([...crashes, ["a second mount over the first", [mountTwice]] as const])(
    "%s takes everything away when asked to",
    async (_, steps) => {
      await using scene = await openCsiScene();
      const volume = await crash(scene, steps);
      await scene.start({ patience: { reconcileMs: 3_600_000 } });
      expect(await scene.kubelet.unpublish(volume)).toMatchObject({ code: status.OK });
      expect(await scene.kubelet.unpublish(volume)).toMatchObject({ code: status.OK });
      await scene.kubelet.deletePod(volume);
      expect(await scene.leftovers()).toEqual(nothingLeft);
    },
  );

  test.each(crashes.filter(([, steps]) => steps.includes(unmount)))(
    "%s leaves nothing when the model is not there any more",
    async (_, steps) => {
      await using scene = await openCsiScene();
      const volume = await crash(scene, steps);
      await scene.start({ patience: { reconcileMs: 3_600_000 } });
      const error = { code: "NOT_FOUND", message: "gone", hint: null };
      scene.agent.behave({ kind: "failed", error, as: "event" });
      expect(await scene.kubelet.publish(volume)).toMatchObject({ code: status.NOT_FOUND });
      expect(await scene.leftovers()).toEqual(nothingLeft);
    },
  );
});

/** Publishes a volume, ends the plugin, and takes apart what it would not have made. */
async function crash(scene: CsiScene, steps: readonly Step[]) {
  const volume = scene.volume();
  {
    await using _plugin = await scene.start({ patience: { reconcileMs: 3_600_000 } });
    expect(await scene.kubelet.publish(volume)).toMatchObject({ code: status.OK });
  }
  const target = scene.kubelet.targetOf(volume);
  const leaseId = digestHex(digestOf(target));
  const state = join(scene.stateFolder, "volumes", `${leaseId}.json`);
  for (const step of steps) await step({ scene, target, leaseId, state });
  return volume;
}
