import { describe, expect, test } from "vitest";
import { readOptions } from "../bench/options.ts";
import { chooseRows } from "../bench/row-choice.ts";
import { rows, stages } from "../bench/rows/catalog.ts";

const ids = ["pull-plain", "pull-tls", "push", "push-tls"];

test.each([
  [[], ids],
  [["push"], ["push"]],
  [
    ["push", "pull-tls"],
    ["pull-tls", "push"],
  ],
  [["pull-*"], ["pull-plain", "pull-tls"]],
  [
    ["push*", "push"],
    ["push", "push-tls"],
  ],
])("%j chooses %j", (patterns, expected) => {
  expect(chooseRows(ids, patterns)).toEqual(expected);
});

test("a pattern that chooses nothing is refused with what there is", () => {
  expect(() => chooseRows(ids, ["push", "pul", "nothing-*"])).toThrow(
    "no row is called pul or nothing-*; there is pull-plain, pull-tls, push, push-tls",
  );
});

test("no two rows of the bench have one id", () => {
  const all = rows.map(({ id }) => id);
  expect(new Set(all).size).toBe(all.length);
  expect(stages.flatMap((stage) => stage.rows)).toEqual(rows);
});

describe("the command line of the bench", () => {
  test("measures 2 GiB three times after a warm-up unless it says otherwise", () => {
    const settings = { bytes: 2 ** 31, rounds: 3, warmups: 1, smoke: false, huge: false };
    expect(readOptions([])).toMatchObject({ action: "run", only: [], settings, writeDocs: false });
  });

  test("takes several rows, in one flag or in many", () => {
    expect(readOptions(["--only", "a,b", "--only", "c-*"]).only).toEqual(["a", "b", "c-*"]);
  });

  test("with --smoke moves 64 MiB once", () => {
    expect(readOptions(["--smoke"]).settings).toMatchObject({
      bytes: 2 ** 26,
      rounds: 1,
      warmups: 0,
      smoke: true,
    });
  });

  test.each([
    [["--rounds", "0"], /number from 1/],
    [["--rounds", "many"], /number from 1/],
    [["--smoke", "--write-docs"], /nothing that could be kept/],
    [["--smoke", "--huge"], /nothing that could be kept/],
    [["--fast"], /--fast/],
    [["pull-tls"], /pull-tls/],
  ])("refuses %j", (args, why) => {
    expect(() => readOptions(args)).toThrow(why);
  });
});
