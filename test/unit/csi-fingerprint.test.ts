import { describe, expect, test } from "vitest";
import { fingerprintOf } from "../../csi/request/fingerprint.ts";
import type { NodePublishVolumeRequest } from "../../csi/rpc/messages.ts";

const request: NodePublishVolumeRequest = {
  volume_id: "v",
  target_path: "/var/lib/kubelet/pods/u/volumes/kubernetes.io~csi/m/mount",
  volume_capability: {
    mount: { fs_type: "", mount_flags: [] },
    access_mode: { mode: "SINGLE_NODE_WRITER" },
  },
  readonly: false,
  secrets: {},
  volume_context: { reference: "r", warm: "true", "csi.storage.k8s.io/pod.uid": "u" },
};
const pod = "csi.storage.k8s.io/";

describe("the fingerprint of a publish call", () => {
  test.each([
    ["other secrets", { secrets: { token: "x" } }],
    [
      "tokens in the volume context",
      { volume_context: { ...request.volume_context, [`${pod}serviceAccount.tokens`]: "x" } },
    ],
    [
      "a key that a newer kubelet adds",
      { volume_context: { ...request.volume_context, [`${pod}pod.color`]: "red" } },
    ],
    [
      "another order of attributes",
      { volume_context: { [`${pod}pod.uid`]: "u", warm: "true", reference: "r" } },
    ],
  ])("is the same with %s", (_, changes) => {
    expect(fingerprintOf({ ...request, ...changes })).toBe(fingerprintOf(request));
  });

  test.each([
    ["volume id", { volume_id: "w" }],
    ["readonly", { readonly: true }],
    ["attribute", { volume_context: { ...request.volume_context, warm: "false" } }],
    ["number of attributes", { volume_context: { ...request.volume_context, include: "a" } }],
    ["pod", { volume_context: { ...request.volume_context, [`${pod}pod.uid`]: "w" } }],
    ["namespace", { volume_context: { ...request.volume_context, [`${pod}pod.namespace`]: "w" } }],
    ["capability", { volume_capability: null }],
    [
      "access mode",
      { volume_capability: { mount: {}, access_mode: { mode: "MULTI_NODE_READER_ONLY" } } },
    ],
    [
      "mount flag",
      {
        volume_capability: {
          mount: { mount_flags: ["ro"] },
          access_mode: { mode: "SINGLE_NODE_WRITER" },
        },
      },
    ],
  ] as const)("differs with another %s", (_, changes) => {
    expect(fingerprintOf({ ...request, ...changes })).not.toBe(fingerprintOf(request));
  });
});
