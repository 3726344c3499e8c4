/** The numbers that a Llama-like model's tensors follow from. */
export interface LlamaShape {
  readonly layers: number;
  readonly hidden: number;
  readonly intermediate: number;
  readonly heads: number;
  readonly vocabulary: number;
  /** Bytes after which a shard ends. */
  readonly shardBytes: number;
}

/** 511 MiB of BF16 weights in four shards. */
export const halfGibibyte: LlamaShape = {
  layers: 16,
  hidden: 1024,
  intermediate: 2752,
  heads: 16,
  vocabulary: 32_000,
  shardBytes: 128 * 1024 ** 2,
};

export interface Tensor {
  readonly name: string;
  readonly shape: readonly number[];
}

/** The tensors of the model, in the order its files hold them. */
export function listTensors(shape: LlamaShape): Tensor[] {
  const { layers, hidden, vocabulary } = shape;
  return [
    { name: "model.embed_tokens.weight", shape: [vocabulary, hidden] },
    ...Array.from({ length: layers }, (_, layer) => listLayerTensors(shape, layer)).flat(),
    { name: "model.norm.weight", shape: [hidden] },
    { name: "lm_head.weight", shape: [vocabulary, hidden] },
  ];
}

/** The tensors of a LoRA adapter of that model: two small matrices beside each changed one. */
export function listAdapterTensors({ layers, hidden }: LlamaShape, rank: number): Tensor[] {
  const changed = ["q_proj", "v_proj"];
  return Array.from({ length: layers }, (_, layer) =>
    changed.flatMap((name) => {
      const prefix = `base_model.model.model.layers.${layer}.self_attn.${name}`;
      return [
        { name: `${prefix}.lora_A.weight`, shape: [rank, hidden] },
        { name: `${prefix}.lora_B.weight`, shape: [hidden, rank] },
      ];
    }),
  ).flat();
}

/** Bytes of a BF16 tensor. */
export function tensorBytes({ shape }: Tensor): number {
  return shape.reduce((product, dimension) => product * dimension, 2);
}

/** Deals tensors out to shards, as training frameworks do: in order, until a shard is full. */
export function dealShards(tensors: readonly Tensor[], shardBytes: number): Tensor[][] {
  const shards: Tensor[][] = [[]];
  let filled = 0;
  for (const tensor of tensors) {
    if (filled > 0 && filled + tensorBytes(tensor) > shardBytes) {
      shards.push([]);
      filled = 0;
    }
    shards.at(-1)?.push(tensor);
    filled += tensorBytes(tensor);
  }
  return shards;
}

function listLayerTensors({ hidden, intermediate }: LlamaShape, layer: number): Tensor[] {
  const prefix = `model.layers.${layer}`;
  return [
    { name: `${prefix}.input_layernorm.weight`, shape: [hidden] },
    { name: `${prefix}.mlp.down_proj.weight`, shape: [hidden, intermediate] },
    { name: `${prefix}.mlp.gate_proj.weight`, shape: [intermediate, hidden] },
    { name: `${prefix}.mlp.up_proj.weight`, shape: [intermediate, hidden] },
    { name: `${prefix}.post_attention_layernorm.weight`, shape: [hidden] },
    { name: `${prefix}.self_attn.k_proj.weight`, shape: [hidden, hidden] },
    { name: `${prefix}.self_attn.o_proj.weight`, shape: [hidden, hidden] },
    { name: `${prefix}.self_attn.q_proj.weight`, shape: [hidden, hidden] },
    { name: `${prefix}.self_attn.v_proj.weight`, shape: [hidden, hidden] },
  ];
}
