import { describe, expect, test } from "vitest";
import { readMountMessage } from "../../src/kubernetes/cluster/story/mount-message.ts";

const pod = { namespace: "team" };
const read = (said: string) =>
  readMountMessage(`MountVolume.SetUp failed for volume "m" : ${said}`, pod);

describe("a FailedMount Event", () => {
  test.each([
    ["pulling registry.example.com/a:v1: 43 % (61 of 140 GiB)"],
    ["registry.example.com/a:v1 waits for its turn: 0 % (0 of 140 GiB)"],
    ["finishing registry.example.com/a:v1: 100 % (140 of 140 GiB)"],
    ["asking for registry.example.com/a:v1"],
  ])("that says %j is no fault", (text) => {
    expect(read(`rpc error: code = Aborted desc = ${text}`)).toEqual({
      kind: "waiting",
      volume: "m",
      text,
      next: undefined,
    });
  });

  test.each([
    [
      'fetching NodePublishSecretRef team/login failed: kubernetes.io/csi: failed to find the secret login in the namespace team with error: secrets "login" not found',
      "kubectl -n team create secret docker-registry login",
    ],
    [
      "kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name csi.ballast.dev not found in the list of registered CSI drivers",
      "ballast cluster doctor",
    ],
    [
      'kubernetes.io/csi: mounter.SetupAt failed to check volume lifecycle mode: volume mode "Ephemeral" not supported by driver csi.ballast.dev (no CSIDriver object)',
      "CSIDriver object",
    ],
    [
      "rpc error: code = Unavailable desc = error reading from server: EOF",
      "the plugin was not there",
    ],
    ["rpc error: code = PermissionDenied desc = denied", "nodePublishSecretRef names in team"],
    ["rpc error: code = NotFound desc = no tag v9", "check the reference"],
    ["rpc error: code = InvalidArgument desc = no volume attribute referense", "docs/csi.md"],
    ["rpc error: code = ResourceExhausted desc = no space", "ballast store ls"],
    ["rpc error: code = Unavailable desc = registry down", "tried again by itself"],
  ])("that says %j says what to do", (text, next) => {
    expect(read(text)).toMatchObject({ kind: "fault", volume: "m" });
    expect(read(text).next).toContain(next);
  });

  test("that nobody knows is passed on as it is", () => {
    expect(read("the moon is full")).toEqual({
      kind: "fault",
      volume: "m",
      text: "the moon is full",
      next: undefined,
    });
  });

  test("that stands for several is read as the latest of them", () => {
    const said = "rpc error: code = Aborted desc = pulling a: 5 %";
    const message = `(combined from similar events): MountVolume.SetUp failed for volume "m" : ${said}`;
    expect(readMountMessage(message, pod)).toMatchObject({
      kind: "waiting",
      text: "pulling a: 5 %",
    });
  });
});
