import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  dealShards,
  type LlamaShape,
  listAdapterTensors,
  listTensors,
  tensorBytes,
} from "./llama-shape.ts";
import { writeSafetensors } from "./safetensors-file.ts";

/** A model of the demo: how it is called, what it is, and how its files are made. */
export interface SampleModel {
  readonly tag: string;
  readonly description: string;
  /** Rejects when the signal is aborted. */
  write(folder: string, signal: AbortSignal): Promise<void>;
}

const family = "ballast-demo/llama-512m";

/** A base model and what people make of one: an adapter, a tune of few layers, a full tune. */
export function listSamples(shape: LlamaShape): SampleModel[] {
  const last = [shape.layers - 2, shape.layers - 1].map((layer) => `model.layers.${layer}.`);
  const isTuned = (name: string) => last.some((prefix) => name.startsWith(prefix));
  return [
    {
      tag: "base",
      description: "a Llama-like base model",
      write: (folder, signal) =>
        writeModel(folder, shape, { seedOf: () => "base", derived: false, signal }),
    },
    {
      tag: "adapter",
      description: "a LoRA-like adapter of it: a small file of its own",
      write: (folder, signal) => writeAdapter(folder, shape, signal),
    },
    {
      tag: "tune",
      description: "a tune that changes two of its layers",
      write: (folder, signal) => {
        const seedOf = (name: string) => (isTuned(name) ? "tune" : "base");
        return writeModel(folder, shape, { seedOf, derived: true, signal });
      },
    },
    {
      tag: "full-tune",
      description: "a full tune: every weight is another one",
      write: (folder, signal) =>
        writeModel(folder, shape, { seedOf: () => "full tune", derived: true, signal }),
    },
  ];
}

interface ModelOptions {
  /** Tensors of one name and one seed are the same in all models. */
  readonly seedOf: (name: string) => string;
  readonly derived: boolean;
  readonly signal: AbortSignal;
}

async function writeModel(folder: string, shape: LlamaShape, options: ModelOptions): Promise<void> {
  const shards = dealShards(listTensors(shape), shape.shardBytes);
  const number = (value: number) => String(value).padStart(5, "0");
  const weightMap: Record<string, string> = {};
  await mkdir(folder, { recursive: true });
  for (const [at, tensors] of shards.entries()) {
    const name = `model-${number(at + 1)}-of-${number(shards.length)}.safetensors`;
    for (const tensor of tensors) weightMap[tensor.name] = name;
    await writeSafetensors(join(folder, name), tensors, options);
  }
  const totalSize = shards.flat().reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
  const index = { metadata: { total_size: totalSize }, weight_map: weightMap };
  await writeFile(join(folder, "model.safetensors.index.json"), toText(index));
  await writeFile(join(folder, "config.json"), toText(describeConfig(shape)));
  await writeFile(join(folder, "tokenizer.json"), toText(makeTokenizer(shape.vocabulary)));
  await writeFile(
    join(folder, "README.md"),
    makeCard(options.derived, "A model of random numbers."),
  );
}

async function writeAdapter(folder: string, shape: LlamaShape, signal: AbortSignal): Promise<void> {
  const rank = 16;
  await mkdir(folder, { recursive: true });
  const tensors = listAdapterTensors(shape, rank);
  await writeSafetensors(join(folder, "adapter_model.safetensors"), tensors, {
    seedOf: () => "adapter",
    signal,
  });
  const config = {
    base_model_name_or_path: family,
    lora_alpha: 32,
    peft_type: "LORA",
    r: rank,
    target_modules: ["q_proj", "v_proj"],
    task_type: "CAUSAL_LM",
  };
  await writeFile(join(folder, "adapter_config.json"), toText(config));
  await writeFile(join(folder, "README.md"), makeCard(true, "An adapter of random numbers."));
}

function describeConfig({ layers, hidden, intermediate, heads, vocabulary }: LlamaShape): object {
  return {
    architectures: ["LlamaForCausalLM"],
    hidden_act: "silu",
    hidden_size: hidden,
    intermediate_size: intermediate,
    max_position_embeddings: 4096,
    model_type: "llama",
    num_attention_heads: heads,
    num_hidden_layers: layers,
    num_key_value_heads: heads,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    torch_dtype: "bfloat16",
    vocab_size: vocabulary,
  };
}

function makeTokenizer(vocabulary: number): object {
  const words = Array.from({ length: vocabulary }, (_, id) => [`\u2581w${id.toString(36)}`, id]);
  return { version: "1.0", model: { type: "BPE", vocab: Object.fromEntries(words), merges: [] } };
}

function makeCard(derived: boolean, text: string): string {
  const base = derived ? `base_model: ${family}\n` : "";
  const front = `license: apache-2.0\n${base}library_name: transformers\n`;
  return `---\n${front}pipeline_tag: text-generation\n---\n\n# Ballast demo\n\n${text}\n`;
}

function toText(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
