import type { GgufHeader } from "../../core/gguf.ts";
import { type ModelFacts, modelNameOf, stated, textOf } from "./model-facts.ts";
import { precisionOf } from "./precision.ts";

const guessedFlag = 1024;
const maxBases = 8;

// https://github.com/ggml-org/llama.cpp: include/llama.h (enum llama_ftype)
const fileTypes: ReadonlyMap<number, string> = new Map([
  [0, "F32"],
  [1, "F16"],
  [2, "Q4_0"],
  [3, "Q4_1"],
  [7, "Q8_0"],
  [8, "Q5_0"],
  [9, "Q5_1"],
  [10, "Q2_K"],
  [11, "Q3_K_S"],
  [12, "Q3_K_M"],
  [13, "Q3_K_L"],
  [14, "Q4_K_S"],
  [15, "Q4_K_M"],
  [16, "Q5_K_S"],
  [17, "Q5_K_M"],
  [18, "Q6_K"],
  [19, "IQ2_XXS"],
  [20, "IQ2_XS"],
  [21, "Q2_K_S"],
  [22, "IQ3_XS"],
  [23, "IQ3_XXS"],
  [24, "IQ1_S"],
  [25, "IQ4_NL"],
  [26, "IQ3_S"],
  [27, "IQ3_M"],
  [28, "IQ2_S"],
  [29, "IQ2_M"],
  [30, "IQ4_XS"],
  [31, "IQ1_M"],
  [32, "BF16"],
  [36, "TQ1_0"],
  [37, "TQ2_0"],
  [38, "MXFP4_MOE"],
  [39, "NVFP4"],
  [40, "Q1_0"],
]);

/** Reads the `general.*` metadata of a GGUF header. */
export function describeGguf({ metadata }: Pick<GgufHeader, "metadata">): ModelFacts {
  const architecture = textOf(metadata.get("general.architecture"));
  const fileType = metadata.get("general.file_type");
  const type = typeof fileType === "number" ? fileTypes.get(fileType % guessedFlag) : undefined;
  const isWhole = type === "F32" || type === "F16" || type === "BF16";
  return stated({
    family: architecture,
    architecture,
    paramSize: textOf(metadata.get("general.size_label")),
    licenses: textOf(metadata.get("general.license")),
    title: textOf(metadata.get("general.name")),
    base: basesOf(metadata).join(","),
    quantization: isWhole ? undefined : type,
    precision: isWhole ? precisionOf(type) : undefined,
  });
}

function basesOf(metadata: GgufHeader["metadata"]): string[] {
  const bases: string[] = [];
  for (let at = 0; at < maxBases; at += 1) {
    const key = `general.base_model.${at}`;
    const url = textOf(metadata.get(`${key}.repo_url`));
    const organization = textOf(metadata.get(`${key}.organization`));
    const name = modelNameOf(metadata.get(`${key}.name`));
    const path = url !== undefined && URL.canParse(url) ? new URL(url).pathname.slice(1) : "";
    const joined =
      organization === undefined || name === undefined ? name : `${organization}/${name}`;
    const base = path === "" ? joined : path;
    if (base !== undefined) bases.push(base.replaceAll(" ", "-"));
  }
  return bases;
}
