// ModelPack's config.md: "bf16", "fp16", "int8"
const words: ReadonlyMap<string, string> = new Map([
  ["BFLOAT16", "bf16"],
  ["FLOAT16", "fp16"],
  ["HALF", "fp16"],
  ["FLOAT32", "fp32"],
  ["FLOAT", "fp32"],
  ["FLOAT64", "fp64"],
  ["BF16", "bf16"],
  ["F16", "fp16"],
  ["F32", "fp32"],
  ["F64", "fp64"],
]);

const kinds: ReadonlyMap<string, string> = new Map([
  ["F", "fp"],
  ["I", "int"],
  ["U", "uint"],
]);

/** The word for an element type as safetensors, GGUF or PyTorch spell it: `bf16`, `fp8`, `int8`. */
export function precisionOf(dtype: string): string {
  const name = dtype.replace(/^torch\./, "").toUpperCase();
  const word = words.get(name);
  if (word !== undefined) return word;
  const parts = /^(F|FLOAT|I|INT|U|UINT)(\d+)(?:_|$)/.exec(name);
  if (parts === null) return dtype.toLowerCase();
  const [, kind = "", bits] = parts;
  return `${kinds.get(kind.charAt(0)) ?? ""}${bits}`;
}
