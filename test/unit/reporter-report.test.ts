import { describe, expect, test } from "vitest";
import type { ModelDocument, StatusDocument } from "../../src/agent/api/documents.ts";
import { digestOf } from "../../src/core/digest.ts";
import {
  describeReport,
  isSameBesideProgress,
  type Report,
} from "../../src/kubernetes/reporter/report.ts";
import { shownModel } from "../support/fake-status-agent.ts";

const watermarks = { highBytes: null, lowBytes: null, lowFreeBytes: null, highFreeBytes: null };

function report(models: readonly ModelDocument[], storeBytes = 10): Report {
  const store = { root: "/s", bytes: storeBytes, freeBytes: 1, totalBytes: 20, watermarks };
  const status: StatusDocument = { version: "1.2.3", startedAt: "", store, models: [...models] };
  return describeReport(status, { isReady: true });
}

function pulling(hereBytes: number, bytesPerSecond = 100.4): ModelDocument {
  const name = "registry.example.com/a";
  const progress = { name, state: "pulling", totalBytes: 50, hereBytes, bytesPerSecond } as const;
  const state = { state: "pulling", whole: false, bytes: 0 } as const;
  return shownModel("a", { ...state, progress: { ...progress, secondsLeft: 3 } });
}

describe("a report", () => {
  test("names models by digest alone", () => {
    const text = JSON.stringify(report([shownModel("team/secret-project")]));
    expect(text).toContain(digestOf("team/secret-project"));
    expect(text).not.toContain("secret-project");
    expect(text).not.toContain("registry.example.com");
  });

  test("tells the store, the version and how many models are whole", () => {
    const models = [shownModel("a"), shownModel("b", { whole: false, bytes: 5 })];
    expect(report(models)).toMatchObject({
      agentReady: true,
      agentVersion: "1.2.3",
      store: { bytes: 10, capacityBytes: 20 },
      readyModels: 1,
      models: [{ state: "ready" }, { state: "partial", bytes: 5 }],
    });
  });

  test("tells how far a pull is", () => {
    expect(report([pulling(30)]).models).toEqual([
      { digest: digestOf("a"), state: "pulling", bytes: 30, totalBytes: 50, bytesPerSecond: 100 },
    ]);
  });

  test("has the most recently used first", () => {
    const models = ["2026-01-02", "2026-01-03", "2026-01-01"].map((lastUsed) =>
      shownModel(lastUsed, { lastUsed }),
    );
    expect(report(models).models.map(({ digest }) => digest)).toEqual(
      ["2026-01-03", "2026-01-02", "2026-01-01"].map(digestOf),
    );
  });

  test("counts a model from several repositories once, with the most of it", () => {
    const digest = digestOf("a");
    const mounts = [{ target: "/t", namespace: "n", pod: "p" }];
    const models = [
      shownModel("a", { whole: false, bytes: 5, mounts }),
      shownModel("b", { digest, bytes: 10, pinned: true, mounts }),
    ];
    expect(report(models).models).toEqual([
      { digest, state: "ready", bytes: 10, pinned: true, mounts: 2 },
    ]);
  });

  test("leaves out what is about to go", () => {
    expect(report([shownModel("a", { leaving: true })])).toMatchObject({
      readyModels: 0,
      models: [],
    });
  });

  test("of 2,000 models has the newest 500, says how many more there are, and stays small", () => {
    const models = Array.from({ length: 2000 }, (_, at) => {
      const lastUsed = new Date(at * 1000).toISOString();
      return shownModel(`m${at}`, { lastUsed, pinned: true, mounts: pulling(0).mounts });
    });
    const { omitted, readyModels, models: told } = report(models);
    expect({ omitted, readyModels, told: told.length }).toEqual({
      omitted: 1500,
      readyModels: 2000,
      told: 500,
    });
    expect(told[0]?.digest).toBe(digestOf("m1999"));
    expect(JSON.stringify(report(models)).length).toBeLessThan(150_000);
  });

  test("of a node whose agent was never heard of is empty", () => {
    expect(describeReport(undefined, { isReady: false })).toEqual({
      agentReady: false,
      readyModels: 0,
      models: [],
    });
  });
});

describe("two reports", () => {
  test("are the same where only a pull is farther and the store fuller", () => {
    expect(isSameBesideProgress(report([pulling(1)], 10), report([pulling(30, 7)], 15))).toBe(true);
  });

  test.each([
    ["a model came", [pulling(1), shownModel("b")]],
    ["a pull ended", [shownModel("a")]],
    ["a pull failed", [shownModel("a", { whole: false, state: "failed" })]],
    ["nothing is there", []],
  ])("are not where %s", (_, models) => {
    expect(isSameBesideProgress(report([pulling(1)]), report(models))).toBe(false);
  });
});
