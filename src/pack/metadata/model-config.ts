import { isRecord } from "../../core/chunk-index.ts";
import { type ModelFacts, modelNameOf, stated, textOf, textsOf } from "./model-facts.ts";
import { precisionOf } from "./precision.ts";

/** Reads a parsed `config.json` of transformers; models of several parts keep some of it one down. */
export function describeConfig(config: Record<string, unknown>): ModelFacts {
  const text = isRecord(config["text_config"]) ? config["text_config"] : {};
  const dtype =
    textOf(config["dtype"]) ??
    textOf(config["torch_dtype"]) ??
    textOf(text["dtype"]) ??
    textOf(text["torch_dtype"]);
  const quantization = config["quantization_config"] ?? text["quantization_config"];
  return stated({
    family: textOf(config["model_type"]),
    architecture: textsOf(config["architectures"]).join(","),
    precision: dtype === undefined ? undefined : precisionOf(dtype),
    quantization: isRecord(quantization) ? textOf(quantization["quant_method"]) : undefined,
  });
}

/** Reads a parsed `adapter_config.json` of PEFT. */
export function describeAdapter(config: Record<string, unknown>): ModelFacts {
  return stated({
    adapter: textOf(config["peft_type"]),
    base: modelNameOf(config["base_model_name_or_path"]),
  });
}
