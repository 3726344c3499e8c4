/**
 * What is said about a model in its manifest's annotations, and under which key. The words are
 * those of the CNCF ModelPack configuration where it has one.
 */
export const modelAnnotations = {
  /** Such as `llama`. */
  family: "dev.ballast.model.family",
  /** Such as `LlamaForCausalLM`; comma-separated if there are several. */
  architecture: "dev.ballast.model.architecture",
  /** What most bytes of the weights are: `safetensors`, `gguf`, `onnx` or `pt`. */
  format: "dev.ballast.model.format",
  /** Rounded count with its unit: `8.0B`. */
  paramSize: "dev.ballast.model.paramsize",
  /** How many values the tensors hold. */
  parameters: "dev.ballast.model.parameters",
  /** `bf16`, `fp16`, `fp8`, ...: of most values. */
  precision: "dev.ballast.model.precision",
  /** `gptq`, `awq`, `Q4_K_M`, ...; comma-separated if files differ. */
  quantization: "dev.ballast.model.quantization",
  /** The models it derives from, comma-separated. */
  base: "dev.ballast.model.base",
  /** What kind of adapter it is: `LORA`. */
  adapter: "dev.ballast.model.adapter",
  /** Such as `text-generation`. */
  task: "dev.ballast.model.task",
  /** Such as `transformers`. */
  library: "dev.ballast.model.library",
  /** SPDX, as the author gives it. */
  licenses: "org.opencontainers.image.licenses",
  title: "org.opencontainers.image.title",
} as const;

export type FactName = keyof typeof modelAnnotations;

/** What one place says about a model; not yet bounded. */
export type ModelFacts = Readonly<Partial<Record<FactName, string>>>;

/** Facts and what was odd on the way to them, as sentences for the user. */
export interface Findings {
  readonly facts: ModelFacts;
  readonly warnings: readonly string[];
}

const maxValueChars = 512;

/** Makes annotations of facts: one line each, at most 512 characters, without control characters. */
export function toAnnotations(facts: ModelFacts): Record<string, string> {
  const entries = Object.entries(modelAnnotations).flatMap(([name, key]) => {
    const value = boundValue(new Map(Object.entries(facts)).get(name) ?? "");
    return value === "" ? [] : [[key, value] as const];
  });
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Of several places the first that says something about a thing is believed. */
export function firstFacts(...places: readonly ModelFacts[]): ModelFacts {
  return Object.assign({}, ...places.map(stated).reverse());
}

/** Leaves out the facts that are undefined or empty. */
export function stated(facts: Partial<Record<FactName, string | undefined>>): ModelFacts {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => Boolean(value)));
}

/** A non-empty string, else undefined. */
export function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value.trim() !== "" ? value.trim() : undefined;
}

/** The strings of a string or a list of them. */
export function textsOf(value: unknown): string[] {
  const values: unknown[] = Array.isArray(value) ? value : [value];
  return values.map(textOf).filter((text) => text !== undefined);
}

/** A model's name, but no path on the machine where it was made. */
export function modelNameOf(value: unknown): string | undefined {
  const text = textOf(value);
  return text === undefined || /^(?:[./~\\]|[A-Za-z]:[\\/]|file:)/.test(text) ? undefined : text;
}

/** Writes a count as ModelPack's paramSize, with one digit and a unit: `6.7B`, `22.7M`. */
export function formatParamSize(count: number): string {
  const units = ["K", "M", "B", "T", "Q"];
  for (const [at, unit] of units.entries()) {
    const text = (count / 1000 ** (at + 1)).toFixed(1);
    if (Number(text) < 1000 || unit === "Q") return `${text}${unit}`;
  }
  return String(count);
}

function boundValue(value: string): string {
  const line = value
    .slice(0, 4 * maxValueChars)
    .toWellFormed()
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\s]+/gu, " ")
    .trim();
  return line.slice(0, maxValueChars).replace(/[\uD800-\uDBFF]$/, "");
}
