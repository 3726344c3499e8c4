import { describe, expect, test } from "vitest";
import { tellStory } from "../../src/kubernetes/cluster/explain.ts";
import type { ExplainedPod, PodFacts } from "../../src/kubernetes/cluster/story/pod-facts.ts";
import { driverName, labelKey } from "../../src/kubernetes/names.ts";
import { ago, lookedAt, nodeOf, reportOf, someDigest } from "../support/cluster-facts.ts";

const label = labelKey(someDigest);
const reference = `registry.example.com/team/llama@${someDigest}`;
const warm = { [label]: "ready" };
const prefers = {
  nodeAffinity: {
    preferredDuringSchedulingIgnoredDuringExecution: [
      { weight: 50, preference: { matchExpressions: [{ key: label, operator: "Exists" }] } },
    ],
  },
};

const someModel = {
  volume: "m",
  persistentVolume: undefined,
  claim: undefined,
  reference,
  digest: someDigest,
  problem: undefined,
};

type Spec = Partial<ExplainedPod["spec"]>;

function podOf(
  spec: Spec = {},
  annotations: Record<string, string> = {},
  phase = "Pending",
): ExplainedPod {
  return {
    metadata: { name: "p", namespace: "team", annotations },
    spec: { affinity: prefers, ...spec },
    status: { phase },
  };
}

function tell(more: Partial<PodFacts>) {
  const story = tellStory({
    now: lookedAt,
    pod: podOf(),
    models: [someModel],
    events: { value: [] },
    nodes: { value: [nodeOf("a"), nodeOf("b", { labels: warm })] },
    reports: { value: [] },
    csiNode: { value: { metadata: { name: "a" }, spec: { drivers: [{ name: driverName }] } } },
    ...more,
  });
  return { story, text: story.sentences.map((each) => each.text).join("\n"), next: story.next };
}

const event = (reason: string, message: string, seconds: number) => ({
  metadata: {},
  reason,
  message,
  lastTimestamp: ago(seconds),
});

describe("the explanation of a pod", () => {
  test("that waits tells what the last Event of its volume says, and what its node has", () => {
    const failed = (desc: string) =>
      `MountVolume.SetUp failed for volume "m" : rpc error: code = Aborted desc = ${desc}`;
    const { story, text, next } = tell({
      pod: podOf({ nodeName: "a" }),
      events: {
        value: [
          event("FailedMount", failed("pulling x: 43 % (61 of 140 GiB)"), 5),
          event("FailedMount", failed("pulling x: 2 % (3 of 140 GiB)"), 90),
        ],
      },
      reports: {
        value: [
          reportOf("a", [{ digest: someDigest, state: "pulling", bytes: 43, totalBytes: 100 }]),
        ],
      },
    });
    expect(text).toContain("Volume m waits for its model: pulling x: 43 % (61 of 140 GiB).");
    expect(text).toContain("a is fetching it and has 43 %");
    expect(next).toContain("nothing: the pod starts when its model is here");
    expect(story.models[0]?.here?.bytes).toBe(43);
  });

  test("reads the Events of a claim by the name of its PersistentVolume", () => {
    const { text } = tell({
      pod: podOf({ nodeName: "a" }),
      models: [
        {
          volume: "m",
          persistentVolume: "pv-1",
          claim: "llama",
          reference,
          digest: someDigest,
          problem: undefined,
        },
      ],
      events: {
        value: [
          event(
            "FailedMount",
            'MountVolume.SetUp failed for volume "pv-1" : rpc error: code = NotFound desc = no such model',
            5,
          ),
        ],
      },
    });
    expect(text).toContain("Volume m cannot be mounted: no such model.");
    expect(text).toContain("Volume m (claim llama) is registry.example.com");
  });

  test("on the warm node says that the hint was followed, and that scores are not told", () => {
    const { text } = tell({ pod: podOf({ nodeName: "b" }, {}, "Running") });
    expect(text).toContain(`It prefers nodes with the label ${label} with weight 50.`);
    expect(text).toContain("b has that label now, as the hint asks for.");
    expect(text).toContain("schedulers do not tell their scores");
    expect(text).toContain("Its volumes are mounted");
  });

  test.each<[why: string, node: Parameters<typeof nodeOf>[1], spec: Spec, says: string]>([
    ["cordoned", { spec: { unschedulable: true } }, {}, "b is cordoned"],
    ["not ready", { ready: false }, {}, "b is not ready"],
    [
      "tainted",
      { spec: { taints: [{ key: "gpu", value: "yes", effect: "NoSchedule" }] } },
      { tolerations: [{ key: "gpu", operator: "Equal", value: "no" }] },
      "b has the taint gpu:NoSchedule",
    ],
    ["another one than asked for", {}, { nodeSelector: { zone: "1" } }, "b is not zone=1"],
  ])("elsewhere says when the warm node is %s", (_, node, spec, says) => {
    const { text } = tell({
      pod: podOf({ nodeName: "a", ...spec }),
      nodes: { value: [nodeOf("a"), nodeOf("b", { labels: warm, ...node })] },
    });
    expect(text).toContain(says);
    expect(text).toContain("where this pod cannot go");
  });

  test.each<[requirement: object, isLeftOut: boolean]>([
    [{ key: "zone", operator: "In", values: ["1", "2"] }, true],
    [{ key: "zone", operator: "NotIn", values: ["3"] }, true],
    [{ key: "zone", operator: "DoesNotExist" }, true],
    [{ key: "gpus", operator: "Gt", values: ["8"] }, true],
    [{ key: "zone", operator: "In", values: ["3"] }, false],
    [{ key: "zone", operator: "Exists" }, false],
    [{ key: "gpus", operator: "Lt", values: ["9"] }, false],
    [{ key: "gpus", operator: "of another day" }, false],
  ])("elsewhere looks at the required affinity %j", (requirement, isLeftOut) => {
    const required = { nodeSelectorTerms: [{ matchExpressions: [requirement] }] };
    const affinity = {
      nodeAffinity: {
        ...prefers.nodeAffinity,
        requiredDuringSchedulingIgnoredDuringExecution: required,
      },
    };
    const labels = { ...warm, zone: "3", gpus: "8" };
    const { text } = tell({
      pod: podOf({ nodeName: "a", affinity }),
      nodes: { value: [nodeOf("a"), nodeOf("b", { labels })] },
    });
    expect(text.includes("is not what the pod's required node affinity asks for")).toBe(isLeftOut);
  });

  test("elsewhere does not speak of all warm nodes where it knows of most", () => {
    const cordoned = ["b", "c", "d", "e"].map((name) =>
      nodeOf(name, { labels: warm, spec: { unschedulable: true } }),
    );
    const value = [nodeOf("a"), ...cordoned, nodeOf("free", { labels: warm })];
    const { text } = tell({ pod: podOf({ nodeName: "a" }), nodes: { value } });
    expect(text).not.toContain("where this pod cannot go");
    expect(text).toContain(
      "b is cordoned, c is cordoned, d is cordoned and 1 more; of the others nothing that would keep it away is seen",
    );
  });

  test.each([
    [{ key: "gpu", operator: "Exists" }],
    [{ operator: "Exists" }],
    [{ key: "gpu", operator: "Equal", value: "yes", effect: "NoSchedule" }],
  ])("elsewhere claims no reason that it does not see: %j tolerates the taint", (toleration) => {
    const taints = [{ key: "gpu", value: "yes", effect: "NoSchedule" }];
    const { text } = tell({
      pod: podOf({ nodeName: "a", tolerations: [toleration] }),
      nodes: { value: [nodeOf("a"), nodeOf("b", { labels: warm, spec: { taints } })] },
    });
    expect(text).toContain("Nothing that would keep it away is seen");
  });

  test("says that there was nothing to prefer where no node is warm", () => {
    const { text } = tell({ pod: podOf({ nodeName: "a" }), nodes: { value: [nodeOf("a")] } });
    expect(text).toContain("No node has that label now, so there is nothing to prefer.");
  });

  test("tells the user's own preferences beside the hint", () => {
    const own = {
      weight: 100,
      preference: { matchExpressions: [{ key: "zone", operator: "Exists" }] },
    };
    const terms = [...prefers.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution, own];
    const affinity = { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: terms } };
    expect(tell({ pod: podOf({ affinity }) }).text).toContain(
      "beside its own preferences with 100",
    );
  });

  test.each<[scheduler: string, pod: ExplainedPod, says: string]>([
    ["KAI", podOf({ schedulerName: "kai-scheduler" }), "KAI ignores preferred node affinity"],
    ["HAMi", podOf({ schedulerName: "hami-scheduler" }), "HAMi chooses one node"],
    ["Volcano", podOf({ schedulerName: "volcano" }), "Volcano scores preferred node affinity"],
    [
      "one that nobody knows",
      podOf({ schedulerName: "own" }),
      "scheduler own scores preferred node affinity is not known",
    ],
    [
      "Kueue",
      podOf(
        { nodeSelector: { "kubernetes.io/hostname": "a" } },
        { "kueue.x-k8s.io/podset-required-topology": "rack" },
      ),
      "Kueue chose the node a by its topology",
    ],
  ])("says what %s makes of a preference", (_, pod, says) => {
    expect(tell({ pod }).text.toLowerCase()).toContain(says.toLowerCase());
  });

  test("calls the warm node chance where the scheduler ignores the hint", () => {
    const pod = podOf({ schedulerName: "kai-scheduler", nodeName: "b" });
    expect(tell({ pod }).text).toContain("with this scheduler that is chance");
  });

  test("says that a pod opted out, or what the webhook noted", () => {
    expect(tell({ pod: podOf({}, { "ballast.dev/locality": "off" }) }).text).toContain(
      "left it alone",
    );
    const noted = podOf(
      { affinity: undefined },
      { "ballast.dev/locality-decision": "m: left alone (no such tag)" },
    );
    expect(tell({ pod: noted }).text).toContain("The webhook noted: m: left alone (no such tag).");
    expect(tell({ pod: podOf({ affinity: undefined }) }).text).toContain(
      "neither webhook nor policy was called for it, or it named its node itself",
    );
    const claimed = { ...someModel, claim: "llama", persistentVolume: "pv-1" };
    expect(tell({ pod: podOf({ affinity: undefined }), models: [claimed] }).text).toContain(
      'only with ballast.dev/locality: "on"',
    );
  });

  test("on no node passes on what the scheduler says", () => {
    const message = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu.";
    const { text } = tell({ events: { value: [event("FailedScheduling", message, 3)] } });
    expect(text).toContain(`default-scheduler says: ${message}`);
    expect(text).toContain("never keeps a pod from a node");
    expect(tell({}).text).toContain("has said nothing");
    const gated = podOf({ schedulingGates: [{ name: "kueue.x-k8s.io/admission" }] });
    expect(tell({ pod: gated }).text).toContain(
      "held back from scheduling by kueue.x-k8s.io/admission",
    );
  });

  test("names a claim that has no volume, and the driver that a node lacks", () => {
    const problem = "no volume is bound to it";
    const models = [
      {
        volume: "m",
        persistentVolume: undefined,
        claim: "llama",
        reference: undefined,
        digest: undefined,
        problem,
      },
    ];
    expect(tell({ models })).toMatchObject({ next: expect.stringContaining("describe pvc llama") });
    const { text, next } = tell({ pod: podOf({ nodeName: "a" }), csiNode: { value: undefined } });
    expect(text).toContain(`The kubelet of a does not know the driver ${driverName}`);
    expect(next).toContain("doctor");
  });

  test("finds a model that is named by a tag by what the pod prefers", () => {
    const tagged = {
      volume: "m",
      persistentVolume: undefined,
      claim: undefined,
      reference: "registry.example.com/team/llama:v1",
      digest: undefined,
      problem: undefined,
    };
    const reports = {
      value: [reportOf("b", [{ digest: someDigest, state: "ready", bytes: 1 } as const])],
    };
    expect(tell({ models: [tagged], reports }).text).toContain("all of it is on b");
    const unhinted = podOf({ affinity: undefined });
    expect(tell({ models: [tagged], reports, pod: unhinted }).text).toContain(
      "only the registry knows",
    );
  });

  test("says what it may not see, and of a pod without models that nothing concerns it", () => {
    const refused = { refused: "403" };
    const pod = podOf({ nodeName: "a" });
    const { text } = tell({ pod, nodes: refused, reports: refused, events: refused });
    expect(text).toContain("this user may not list nodes");
    expect(text).toContain("this user may not list NodeModels");
    expect(text).toContain("this user may not read Events");
    expect(tell({ models: [] }).text).toContain("It has no volume of Ballast");
  });
});
