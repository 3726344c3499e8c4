import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Digest, digestOf, parseDigest } from "../../src/core/digest.ts";
import { parseReference } from "../../src/core/reference.ts";
import type { Pod, PreferredTerm } from "../../src/kubernetes/api/objects.ts";
import { decisionAnnotation, labelKey } from "../../src/kubernetes/names.ts";
import {
  admit,
  type Finding,
  type PatchOperation,
} from "../../src/kubernetes/webhook/pod/admit.ts";
import { podModels } from "../../src/kubernetes/webhook/pod/pod-models.ts";

const gibibyte = 2 ** 30;
const options = { affinityMinBytes: gibibyte };

function digestOfText(text: string): Digest {
  return digestOf(Buffer.from(text));
}

function podWith(
  references: readonly string[],
  rest: { affinity?: Pod["spec"]["affinity"]; annotations?: Record<string, string> } = {},
): Pod {
  const volumes = references.map((reference, at) => ({
    name: `model-${at}`,
    csi: { driver: "csi.ballast.dev", volumeAttributes: { reference } },
  }));
  return {
    metadata: { annotations: rest.annotations },
    spec: { affinity: rest.affinity, volumes: [{ name: "tmp" }, ...volumes] },
  };
}

/** Every model is known and has this size. */
function findAll(pod: Pod, bytes: number | readonly number[]): Finding[] {
  return podModels(pod).map((model, at): Finding => {
    if (model.source.kind !== "inline") throw new Error("only inline ones here");
    const reference = parseReference(model.source.reference);
    if (reference.kind !== "registry") throw new Error("only registries here");
    const digest = reference.digest ?? digestOfText(model.source.reference);
    const size = typeof bytes === "number" ? bytes : (bytes[at] ?? 0);
    return { model, reference, digest, isShared: true, bytes: size };
  });
}

/** RFC 6902, as far as patches of the webhook go. */
function apply(pod: Pod, patch: readonly PatchOperation[]): Pod {
  const copy: unknown = structuredClone(pod);
  for (const { path, value } of patch) {
    const names = path.split("/").slice(1);
    const last = (names.pop() ?? "").replace("~1", "/");
    let at: unknown = copy;
    for (const name of names) at = Reflect.get(Object(at), name);
    if (Array.isArray(at)) at.push(value);
    else if (typeof at !== "object" || at === null) throw new Error(`${path}: no parent`);
    else Reflect.set(at, last, value);
  }
  return copy as Pod;
}

function termsOf(pod: Pod): readonly PreferredTerm[] {
  return pod.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
}

function userTerm(weight: number): PreferredTerm {
  return { weight, preference: { matchExpressions: [{ key: "gpu", operator: "Exists" }] } };
}

function preferring(...terms: PreferredTerm[]) {
  return { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: terms } };
}

const tagged = "registry.example.com/team/model:v1";
const digest = digestOfText(tagged);
const pinned = `${tagged}@${digest}`;

describe("a pod with a model", () => {
  test("has its tag pinned to the digest, and keeps the tag for people", () => {
    const pod = podWith([tagged]);
    const { patch, outcomes } = admit(pod, findAll(pod, 1), options);
    expect(patch[0]).toEqual({
      op: "replace",
      path: "/spec/volumes/1/csi/volumeAttributes/reference",
      value: pinned,
    });
    expect(outcomes).toEqual(["pinned", "small"]);
    expect(parseReference(pinned)).toMatchObject({ tag: "v1", digest: parseDigest(digest) });
  });

  test("and no controller keeps its tag, and prefers nodes that have the model", () => {
    const pod = podWith([tagged]);
    const findings = findAll(pod, gibibyte).map((each) => ({ ...each, isShared: false }));
    const { patch, outcomes } = admit(pod, findings, options);
    expect(apply(pod, patch).spec.volumes).toEqual(pod.spec.volumes);
    expect(termsOf(apply(pod, patch))).toHaveLength(1);
    expect(outcomes).toEqual(["preferred"]);
  });

  test("prefers nodes that have it, with all weight, where the user prefers none", () => {
    const pod = podWith([pinned]);
    const after = apply(pod, admit(pod, findAll(pod, gibibyte), options).patch);
    expect(termsOf(after)).toEqual([
      {
        weight: 100,
        preference: {
          matchExpressions: [{ key: labelKey(digest), operator: "In", values: ["ready"] }],
        },
      },
    ]);
    expect(after.metadata.annotations?.[decisionAnnotation]).toMatch(
      /^model-0: sha256:[0-9a-f]{12}, prefers nodes that have it \(weight 100\)$/,
    );
  });

  test.each([
    [[2], 1],
    [[80], 40],
    [[50, 50], 50],
    [[100, 100, 100], 100],
    [[1], 1],
  ])("beside terms of weights %j it weighs %i", (weights, expected) => {
    const affinity = preferring(...weights.map(userTerm));
    const pod = podWith([pinned], { affinity });
    const after = apply(pod, admit(pod, findAll(pod, gibibyte), options).patch);
    expect(termsOf(after).slice(0, weights.length)).toEqual(weights.map(userTerm));
    expect(termsOf(after).slice(weights.length)).toMatchObject([{ weight: expected }]);
  });

  test("several models share the weight by their bytes", () => {
    const other = "registry.example.com/team/other:v1";
    const pod = podWith([tagged, other]);
    const { patch } = admit(pod, findAll(pod, [3 * gibibyte, gibibyte]), options);
    expect(termsOf(apply(pod, patch)).map(({ weight }) => weight)).toEqual([75, 25]);
  });

  test("a model whose share is nothing gets no term", () => {
    const other = "registry.example.com/team/other:v1";
    const pod = podWith([tagged, other], { affinity: preferring(userTerm(2)) });
    const { patch, outcomes } = admit(pod, findAll(pod, [9 * gibibyte, gibibyte]), options);
    expect(termsOf(apply(pod, patch))).toHaveLength(2);
    expect(outcomes).toEqual(["pinned", "preferred", "pinned", "shareless"]);
  });

  test("one model in two volumes gets one term", () => {
    const pod = podWith([pinned, pinned]);
    const { patch } = admit(pod, findAll(pod, gibibyte), options);
    expect(termsOf(apply(pod, patch))).toMatchObject([{ weight: 100 }]);
  });

  test("a smaller model is pinned, and no node is preferred for it", () => {
    const pod = podWith([tagged]);
    const after = apply(pod, admit(pod, findAll(pod, gibibyte - 1), options).patch);
    expect(after.spec.affinity).toBeUndefined();
    expect(after.metadata.annotations?.[decisionAnnotation]).toContain("too small");
  });

  test("what could not be found out is said, and nothing else changes", () => {
    const pod = podWith([tagged], { annotations: { mine: "stays" } });
    const findings = podModels(pod).map((model) => ({ model, problem: "FORBIDDEN" }));
    expect(admit(pod, findings, options).patch).toEqual([
      {
        op: "add",
        path: "/metadata/annotations/ballast.dev~1locality-decision",
        value: "model-0: left alone (FORBIDDEN)",
      },
    ]);
  });

  test.each([
    ["no affinity", undefined],
    ["an empty affinity", {}],
    ["an empty nodeAffinity", { nodeAffinity: {} }],
    ["an empty list", preferring()],
    ["terms of its own", preferring(userTerm(10), userTerm(20))],
  ])("with %s: what it was made to is left alone the next time", (_, affinity) => {
    const pod = podWith([tagged, pinned], { affinity });
    const once = apply(pod, admit(pod, findAll(pod, gibibyte), options).patch);
    expect(termsOf(once).length).toBe(termsOf(pod).length + 1);
    expect(admit(once, findAll(once, gibibyte), options).patch).toEqual([]);
  });

  test("a second look changes nothing, whatever the pod prefers and the models weigh", () => {
    const weights = fc.array(fc.integer({ min: 1, max: 100 }), { maxLength: 5 });
    const sizes = fc.array(fc.integer({ min: 0, max: 10 * gibibyte }), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(weights, sizes, (users, bytes) => {
        const references = bytes.map((_, at) => `registry.example.com/team/model:v${at}`);
        const pod = podWith(references, { affinity: preferring(...users.map(userTerm)) });
        const once = apply(pod, admit(pod, findAll(pod, bytes), options).patch);
        expect(admit(once, findAll(once, bytes), options).patch).toEqual([]);
        const added = termsOf(once).slice(users.length);
        const sum = added.reduce((all, { weight }) => all + weight, 0);
        const half = Math.floor(users.reduce((all, each) => all + each, 0) / 2);
        const total = users.length === 0 ? 100 : Math.max(1, Math.min(100, half));
        expect(sum).toBe(bytes.some((size) => size >= gibibyte) ? total : 0);
        for (const { weight } of added) expect(weight).toBeGreaterThanOrEqual(1);
      }),
    );
  });
});

describe("pods that are left alone", () => {
  test.each([
    [
      "one that opts out",
      { ...podWith([tagged], { annotations: { "ballast.dev/locality": "off" } }) },
    ],
    ["one that has a node", { metadata: {}, spec: { ...podWith([tagged]).spec, nodeName: "a" } }],
    ["one without models", { metadata: {}, spec: { volumes: [{ name: "tmp" }] } }],
    ["one without volumes", { metadata: {}, spec: {} }],
    [
      "one with a volume of another driver",
      { metadata: {}, spec: { volumes: [{ name: "a", csi: { driver: "other.example.com" } }] } },
    ],
  ])("%s", (_, pod: Pod) => {
    expect(podModels(pod)).toEqual([]);
    expect(admit(pod, [], options)).toEqual({ patch: [], decision: "", outcomes: [] });
  });

  test("a claim counts only where the pod asks for it", () => {
    const spec = { volumes: [{ name: "data", persistentVolumeClaim: { claimName: "models" } }] };
    const asking = { annotations: { "ballast.dev/locality": "on" } };
    expect(podModels({ metadata: {}, spec })).toEqual([]);
    expect(podModels({ metadata: asking, spec })).toEqual([
      { volume: "data", source: { kind: "claim", claim: "models" } },
    ]);
  });
});
