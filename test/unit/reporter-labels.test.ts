import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { labelKey } from "../../src/kubernetes/names.ts";
import { chooseLabels, patchLabels } from "../../src/kubernetes/reporter/labels.ts";
import { shownModel } from "../support/fake-status-agent.ts";

const keyOf = (name: string) => labelKey(digestOf(name));
const choice = { minBytes: 1000, limit: 64 };
const digest = digestOf("a");
const other = { digest, name: `registry.example.com/other@${digest}` };

describe("the labels of a node", () => {
  test.each([
    ["is whole", {}, true],
    ["is whole and asked for once more", { state: "pulling" }, true],
    ["is of the least size", { bytes: 1000 }, true],
    ["is smaller", { bytes: 999 }, false],
    ["is a selection", { whole: false }, false],
    ["is on its way", { whole: false, state: "pulling" }, false],
    ["is about to go", { leaving: true }, false],
  ] as const)("have a model that %s: %j, %s", (_, more, isThere) => {
    const chosen = chooseLabels([shownModel("a", more)], choice);
    expect([...chosen]).toEqual(isThere ? [keyOf("a")] : []);
  });

  test("have a model from several repositories as long as one of them keeps it", () => {
    const leaving = { leaving: true };
    const both = [shownModel("a", leaving), shownModel("a", other)];
    expect([...chooseLabels(both, choice)]).toEqual([keyOf("a")]);
    const none = [shownModel("a", leaving), shownModel("a", { ...other, ...leaving })];
    expect([...chooseLabels(none, choice)]).toEqual([]);
  });

  test("are at most so many, of those that were used last", () => {
    const models = Array.from({ length: 100 }, (_, at) =>
      shownModel(`m${at}`, { lastUsed: new Date(at * 1000).toISOString() }),
    );
    const chosen = chooseLabels(models, choice);
    expect(chosen.size).toBe(64);
    expect(chosen.has(keyOf("m99"))).toBe(true);
    expect(chosen.has(keyOf("m36"))).toBe(true);
    expect(chosen.has(keyOf("m35"))).toBe(false);
  });

  test("have names that Kubernetes takes", () => {
    expect(keyOf("a")).toMatch(/^models\.ballast\.dev\/[0-9a-f]{40}$/);
  });
});

describe("what is written of labels", () => {
  const forged = `models.ballast.dev/${"f".repeat(40)}`;

  test("is nothing where they are right", () => {
    expect(patchLabels({ [keyOf("a")]: "ready", zone: "x" }, new Set([keyOf("a")]))).toEqual({});
  });

  test("adds what is missing, removes what is not wanted and leaves others' alone", () => {
    const labels = { [forged]: "ready", zone: "x", "other.example.com/a": "ready" };
    expect(patchLabels(labels, new Set([keyOf("a")]))).toEqual({
      [forged]: null,
      [keyOf("a")]: "ready",
    });
  });

  test("sets a value right", () => {
    expect(patchLabels({ [keyOf("a")]: "maybe" }, new Set([keyOf("a")]))).toEqual({
      [keyOf("a")]: "ready",
    });
  });

  test("is only what no reporter writes while nobody knows what is there", () => {
    const labels = {
      [forged]: "ready",
      [keyOf("a")]: "maybe",
      "models.ballast.dev/short": "ready",
      zone: "x",
    };
    expect(patchLabels(labels, undefined)).toEqual({
      [keyOf("a")]: null,
      "models.ballast.dev/short": null,
    });
  });
});
