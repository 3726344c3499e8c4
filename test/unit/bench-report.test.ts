import { describe, expect, test } from "vitest";
import { drawChart } from "../bench/report/chart.ts";
import { describe as describePage } from "../bench/report/document.ts";
import { formatFact, rowCells } from "../bench/report/row-cells.ts";
import { formatRow } from "../bench/report/row-table.ts";
import { judge } from "../bench/report/targets.ts";
import { mergeResults, type Results } from "../bench/results.ts";
import { makeEntry, makeRow } from "../support/bench-rows.ts";

const mebi = 2 ** 20;

/** Ballast needs a second, its peers `times` seconds. */
function pullRow(times: number, id = "pull-tls") {
  return makeRow({
    id,
    workBytes: 512 * mebi,
    entries: [
      makeEntry("ballast", "ours", [1, 0.9, 1.1], { requests: 70 }),
      makeEntry("crane", "peer", [times], { requests: 5 }),
      makeEntry("aria2c", "limit", [0.5]),
    ],
  });
}

function results(rows: Results["rows"], more: Partial<Results> = {}): Results {
  return {
    schema: 1,
    finished: "2026-02-03T04:05:06.000Z",
    machine: {
      cpu: "a processor",
      cores: 2,
      memoryBytes: 2 ** 34,
      kernel: "6.1",
      filesystem: "tmpfs",
      versions: { ballast: "0.1.0", crane: "v0.1" },
    },
    settings: { bytes: 2 ** 31, rounds: 3, warmups: 1, smoke: false, huge: false },
    rows,
    ...more,
  };
}

describe("the table of a row", () => {
  test("has the median, the spread, the speed and the times of the best peer", () => {
    const { columns, lines } = rowCells(pullRow(2));
    expect(columns).toEqual([
      "client",
      "wall s>",
      "MiB/s>",
      "CPU s>",
      "peak MiB>",
      "requests>",
      "x best peer>",
    ]);
    expect(lines).toEqual([
      ["ballast", "1.00 (0.90-1.10)", "512", "1.00", "100", "70", "2.00"],
      ["crane", "2.00", "256", "2.00", "100", "5", "1.00"],
      ["(aria2c)", "0.50", "1024", "0.50", "100", "", "4.00"],
    ]);
  });

  test("is followed by facts, what was left out and the verdict", () => {
    const row = {
      ...pullRow(1.5),
      facts: [{ id: "x", label: "a size", value: 3 * mebi, unit: "bytes" as const }],
      skipped: "no room",
    };
    const text = formatRow(row, true);
    expect(text).toContain("a size: 3.0 MiB");
    expect(text).toContain("skipped: no room");
    expect(text).toContain("missed: cold pull over TLS, 4 shards: 1.50x (crane), at least 1.8x");
    expect(formatRow(row, false)).not.toContain("missed");
  });

  test.each([
    [{ value: 1536, unit: "bytes" }, "1.5 KiB"],
    [{ value: 450, unit: "count" }, "450"],
    [{ value: 0.01234, unit: "seconds" }, "12.3 ms"],
    [{ value: 2.345, unit: "seconds" }, "2.35 s"],
    [{ value: 0.98765, unit: "ratio" }, "0.988"],
  ] as const)("shows %j as %s", (fact, text) => {
    expect(formatFact(fact)).toBe(text);
  });
});

describe("a target", () => {
  test.each([
    [1.8, "met"],
    [1.79, "missed"],
  ])("of 1.8x is judged by what was measured: %d is %s", (times, verdict) => {
    expect(judge([pullRow(times)]).map((each) => each.verdict)).toEqual([verdict]);
  });

  test("against one certain peer is held against that one alone", () => {
    const times = (seconds: number) => {
      const row = pullRow(0.5, "push");
      const other = makeEntry("regctl, from files", "peer", [seconds]);
      return judge([{ ...row, entries: [...row.entries, other] }]);
    };
    expect(times(1.1)).toMatchObject([
      { target: { id: "push" }, verdict: "missed" },
      { target: { against: "regctl, from files" }, verdict: "met", measured: "1.10x" },
    ]);
    expect(times(1.09)[1]).toMatchObject({ verdict: "missed" });
    expect(judge([pullRow(2, "push")])[1]).toMatchObject({ verdict: "not measured" });
  });

  test("of CPU seconds looks at the fastest peer", () => {
    const row = pullRow(1.2, "pull-plain");
    const slow = makeEntry("regctl", "peer", [9], { cpuSeconds: 0.1 });
    const verdicts = judge([{ ...row, entries: [...row.entries, slow] }]);
    expect(verdicts.map(({ target, verdict }) => [target.id, verdict])).toEqual([
      ["pull-plain", "met"],
      ["pull-plain-cpu", "met"],
    ]);
  });

  test("of a size that was not measured is neither met nor missed", () => {
    const fact = (id: string, value: number) => ({ id, label: id, value, unit: "count" as const });
    const small = [fact("model-bytes", 4_000_000_000), fact("redirected-registry", 20)];
    const large = [fact("model-bytes", 140_000_000_000), fact("redirected-registry", 451)];
    const verdict = (facts: typeof small) =>
      judge([makeRow({ id: "requests", facts })])[0]?.verdict;
    expect(verdict(small)).toBe("not measured");
    expect(verdict(large)).toBe("missed");
  });

  test("of memory looks at every size", () => {
    const entries = [300, 401].map((peak) =>
      makeEntry(`${peak} GiB`, "ours", [1], { peakBytes: peak * mebi }),
    );
    const verdicts = judge([makeRow({ id: "memory-pull", entries })]);
    expect(verdicts.map(({ measured, verdict }) => [measured, verdict])).toEqual([
      ["300 GiB: 300 MiB, 401 GiB: 401 MiB", "missed"],
      ["1.34x", "missed"],
    ]);
  });

  test.each([
    [30 * mebi, "met"],
    [45 * mebi, "missed"],
  ])("of a delta allows a tenth and a chunk more: %d is %s", (movedBytes, verdict) => {
    const row = makeRow({
      id: "delta-pull",
      entries: [makeEntry("ballast", "ours", [1], { movedBytes })],
      facts: [
        { id: "changed-bytes", label: "", value: 10 * mebi, unit: "bytes" },
        { id: "changed-runs", label: "", value: 1, unit: "count" },
      ],
    });
    expect(judge([row])[0]?.verdict).toBe(verdict);
  });

  test("of temporary disk is not judged where nothing is counted", () => {
    const facts = ["disk-bytes", "files-left"].map((id) => {
      return { id, label: id, value: 0, unit: "count" as const };
    });
    const row = makeRow({ id: "push-temp-disk", facts });
    expect(judge([row])[0]?.verdict).toBe("met");
    expect(judge([{ ...row, skipped: "not counted" }])[0]?.verdict).toBe("not measured");
  });
});

describe("the page", () => {
  test("names machine, versions, targets, misses with their cause, and the command", () => {
    const page = describePage(results([pullRow(1.5)]));
    expect(page).toContain("Measured on 2026-02-03: 2 cores of a processor, 16.0 GiB of memory");
    expect(page).toContain("crane v0.1");
    expect(page).toMatch(
      /\| cold pull over TLS, 4 shards \|.*\| 1\.50x \(crane\) \| \*\*missed\*\* \|/,
    );
    expect(page).toMatch(/- cold pull over TLS, 4 shards \(`pull-tls`\): .+\./);
    expect(page).toContain("npm run bench -- --write-docs");
    expect(page).toContain("### `pull-tls`: a row");
  });

  test("shows the chart when there is something in it", () => {
    expect(describePage(results([pullRow(2)]))).toContain("](performance.svg)");
    expect(describePage(results([makeRow()]))).not.toContain("performance.svg");
  });

  test("says nothing of misses when there is none", () => {
    expect(describePage(results([pullRow(2)]))).not.toContain("What is missed");
  });
});

describe("the chart", () => {
  const chart = drawChart([pullRow(2), makeRow({ title: "no bytes moved" })]);

  test("has a bar for each client of each row that moves bytes", () => {
    expect(chart.match(/<rect /g)).toHaveLength(3);
    expect(chart).not.toContain("no bytes moved");
  });

  test("has bars as long as the speeds", () => {
    const widths = [...chart.matchAll(/<rect .*? width="([\d.]+)"/g)].map(([, width]) =>
      Number(width),
    );
    const [ballast = 0, crane = 0, aria2c = 0] = widths;
    expect(ballast / crane).toBeCloseTo(2, 1);
    expect(aria2c / ballast).toBeCloseTo(2, 1);
  });

  test("is well-formed whatever the titles hold, and knows dark pages", () => {
    const svg = drawChart([{ ...pullRow(2), title: "a < b & c" }]);
    expect(svg).toContain("a &lt; b &amp; c");
    expect(svg).toContain("prefers-color-scheme: dark");
    expect(svg.match(/<text/g)?.length).toBe(svg.match(/<\/text>/g)?.length);
  });
});

describe("results of two runs", () => {
  const order = ["pull-plain", "pull-tls"];

  test("are one, the later rows in place of the earlier", () => {
    const earlier = results([pullRow(1, "pull-plain"), pullRow(1)]);
    const merged = mergeResults(earlier, results([pullRow(3)]), order);
    expect(merged.rows.map(({ id, entries }) => [id, entries[1]?.runs[0]?.seconds])).toEqual([
      ["pull-plain", 1],
      ["pull-tls", 3],
    ]);
  });

  test("tell which rows are of another Ballast", () => {
    const { machine } = results([]);
    const versions = { ...machine.versions, ballast: "0.0.9" };
    const earlier = results([pullRow(1, "pull-plain"), pullRow(1)], {
      machine: { ...machine, versions },
    });
    const { rows } = mergeResults(earlier, results([pullRow(3)]), order);
    const marked = ["Measured with Ballast 0.0.9."];
    expect(rows.map(({ notes }) => notes)).toEqual([marked, []]);
    // A third run leaves what the second said.
    const second = results(rows, {
      machine: { ...machine, versions: { ...versions, ballast: "1" } },
    });
    const again = mergeResults(second, results([pullRow(4)]), order);
    expect(again.rows.map(({ notes }) => notes)).toEqual([marked, []]);
  });

  test("are not mixed when they are of different machines or programs", () => {
    const { machine } = results([]);
    const other = results([], { machine: { ...machine, cores: 64 } });
    expect(() => mergeResults(other, results([]), order)).toThrow("differs in machine");
  });
});
