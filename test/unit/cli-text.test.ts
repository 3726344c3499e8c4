import fc from "fast-check";
import { expect, test } from "vitest";
import { formatBytes, formatSeconds } from "../../src/cli/amounts.ts";
import { formatTable } from "../../src/cli/table.ts";
import { keepEnd, pad, printable, textWidth } from "../../src/cli/text.ts";

test.each([
  [0, "0 B"],
  [-1, "0 B"],
  [1023, "1023 B"],
  [1024, "1.0 KiB"],
  [1_048_575, "1.0 MiB"],
  [1_610_612_736, "1.5 GiB"],
  [2 ** 40, "1.0 TiB"],
  [2 ** 60, "1024.0 PiB"],
])("%d bytes are written %j", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test.each([
  [0, "0.0 s"],
  [0.84, "0.8 s"],
  [9.96, "10 s"],
  [59.4, "59 s"],
  [59.9, "1 min 00 s"],
  [185, "3 min 05 s"],
  [3599.9, "1 h 00 min"],
  [7890, "2 h 11 min"],
])("%d seconds are written %j", (seconds, text) => {
  expect(formatSeconds(seconds)).toBe(text);
});

test.each([
  ["model.safetensors", 17],
  ["模型", 4],
  ["한국어", 6],
  ["é", 1],
  ["🙂", 2],
  ["👩‍💻", 2],
  ["", 0],
])("%j takes %d columns", (text, width) => {
  expect(textWidth(text)).toBe(width);
});

test("shortened text keeps its end and never is too wide", () => {
  expect(keepEnd("folder/model-00001.safetensors", 20)).toBe("...00001.safetensors");
  fc.assert(
    fc.property(fc.string({ unit: "grapheme" }), fc.nat(40), (text, columns) => {
      expect(textWidth(keepEnd(text, columns))).toBeLessThanOrEqual(columns);
    }),
  );
});

test("padding counts columns, not characters", () => {
  expect(pad("模", 4)).toBe("模  ");
  expect(pad("7", 3, "left")).toBe("  7");
});

test("what could steer a terminal is shown as an escape", () => {
  expect(printable("a\x1b[2Jb\r\n\u202egnp.exe\u009b")).toBe(
    String.raw`a\x1b[2Jb\x0d\x0a\u202egnp.exe\x9b`,
  );
  expect(printable("模型 é 🙂")).toBe("模型 é 🙂");
});

test("a table aligns sizes to the right and names to the left", () => {
  expect(
    formatTable(
      ["SIZE>", "FILE"],
      [
        ["1.0 MiB", "a"],
        ["9 B", "bc"],
      ],
    ),
  ).toEqual(["   SIZE  FILE", "1.0 MiB  a", "    9 B  bc"]);
});
