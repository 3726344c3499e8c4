import { expect, test } from "vitest";
import { findMistake } from "../../src/cli/mistakes.ts";

const paths = new Set(["./llama", "Llama 3", "out"]);
const exists = (path: string) => paths.has(path);
const reference = "registry.example.com/team/llama:v1";

test.each([
  [["push", reference, "./llama"], `ballast push ./llama ${reference}`],
  [["push", reference, "Llama 3"], `ballast push 'Llama 3' ${reference}`],
  [["push", "./llama"], "ballast push ./llama registry.example.com/team/llama:v1"],
  [["push", "Llama 3"], "ballast push 'Llama 3' registry.example.com/team/llama-3:v1"],
  [["pull", "./llama"], "ballast push ./llama registry.example.com/team/llama:v1"],
  [["pull", reference, "out"], `ballast pull ${reference} -o out`],
  [["pull", reference, "new-folder"], `ballast pull ${reference} -o new-folder`],
  [["pull", `https://${reference}`, "out"], `ballast pull ${reference} -o out`],
  [["pull", "out", reference], `ballast pull ${reference} -o out`],
])("%j probably meant %j", ([command = "", ...operands], meant) => {
  expect(findMistake(command, operands, exists)?.meant).toBe(meant);
});

test.each([
  [["push", "./llama", reference]],
  [["push", "./missing", reference]],
  [["push", reference, "./missing"]],
  [["push", "./missing"]],
  [["push"]],
  [["pull", reference]],
  [["pull", "not-a-reference"]],
  [["pull", "oci:./exported:v1"]],
  [["pull", "a", "b", "c"]],
  [["inspect", "./llama"]],
])("in %j no order is wrong", ([command = "", ...operands]) => {
  expect(findMistake(command, operands, exists)).toBeUndefined();
});
