import { describe, expect, test } from "vitest";
import type { ObjectMeta } from "../../src/kubernetes/api/objects.ts";
import { pinKey, pinNamespace, podGroup } from "../../src/kubernetes/webhook/pod/pod-group.ts";

function groupOf(metadata: ObjectMeta) {
  return podGroup({ metadata, spec: {} });
}

function owned(uid: string, kind = "ReplicaSet", labels: Record<string, string> = {}): ObjectMeta {
  const owner = { apiVersion: "apps/v1", kind, name: "a", uid, controller: true };
  return { labels, ownerReferences: [owner] };
}

describe("the pods that load one version", () => {
  test("are those of one controller", () => {
    expect(groupOf(owned("1"))).toEqual(groupOf(owned("1")));
    expect(groupOf(owned("1"))).not.toEqual(groupOf(owned("2")));
  });

  test("of a StatefulSet or DaemonSet those of one revision", () => {
    const revision = (hash: string) =>
      groupOf(owned("1", "StatefulSet", { "controller-revision-hash": hash }));
    expect(revision("a")).toEqual(revision("a"));
    expect(revision("a")).not.toEqual(revision("b"));
  });

  test("of a JobSet all of its Jobs", () => {
    const labels = { "jobset.sigs.k8s.io/jobset-uid": "7" };
    expect(groupOf(owned("1", "Job", labels))).toEqual(groupOf(owned("2", "Job", labels)));
  });

  test("of a LeaderWorkerSet all of its groups, of one template", () => {
    const labels = (hash: string) => ({
      "leaderworkerset.sigs.k8s.io/name": "llm",
      "leaderworkerset.sigs.k8s.io/template-revision-hash": hash,
    });
    const group = (uid: string, hash: string) => groupOf(owned(uid, "StatefulSet", labels(hash)));
    expect(group("1", "a")).toEqual(group("2", "a"));
    expect(group("1", "a")).not.toEqual(group("1", "b"));
  });

  test("of a Ray cluster head and workers, and not those of a later cluster of that name", () => {
    const labels = { "ray.io/cluster": "serve" };
    const group = (uid: string) => groupOf(owned(uid, "RayCluster", labels));
    expect(group("1")).toEqual(group("1"));
    expect(group("1")).not.toEqual(group("2"));
    expect(groupOf({ labels })).toEqual(["ray", "serve", ""]);
  });

  test("are nobody's where only somebody else owns the pod", () => {
    const { ownerReferences = [] } = owned("1");
    const others = ownerReferences.map((owner) => ({ ...owner, controller: false }));
    expect(groupOf({ ownerReferences: others })).toBeUndefined();
    expect(groupOf({})).toBeUndefined();
  });

  test("have a key for each namespace and reference that tells nobody what it is", () => {
    const reference = "registry.example.com/team/model:v1";
    const key = pinKey("a", ["controller", "1", ""], reference);
    expect(key).toMatch(/^[0-9a-f]{40}$/);
    expect(pinKey("a", ["controller", "1", ""], reference)).toBe(key);
    expect(pinKey("b", ["controller", "1", ""], reference)).not.toBe(key);
    expect(pinKey("a", ["controller", "1", ""], `${reference}1`)).not.toBe(key);
  });

  test("have keys that say which are of one namespace", () => {
    const [one, other] = ["1", "2"].map((uid) => pinKey("a", ["controller", uid, ""], "b:v1"));
    expect(pinNamespace(one ?? "")).toBe(pinNamespace(other ?? ""));
    expect(pinNamespace(pinKey("b", ["controller", "1", ""], "b:v1"))).not.toBe(
      pinNamespace(one ?? ""),
    );
  });
});
