/** A tensor to be. */
export interface PlannedTensor {
  readonly name: string;
  /** As models are published. */
  readonly dtype: "BF16";
  readonly shape: readonly [number, number] | readonly [number];
  /** Bytes. */
  readonly size: number;
}

/** One weights file to be. */
export interface PlannedShard {
  readonly path: string;
  readonly tensors: readonly PlannedTensor[];
}

/** Widths of a model: those of real ones of about that size. */
interface Widths {
  readonly hidden: number;
  readonly keyValue: number;
  readonly inner: number;
  readonly vocabulary: number;
}

const gibi = 2 ** 30;
const widths: readonly { readonly from: number; readonly widths: Widths }[] = [
  {
    from: 256 * gibi,
    widths: { hidden: 16_384, keyValue: 1024, inner: 53_248, vocabulary: 128_256 },
  },
  { from: 64 * gibi, widths: { hidden: 8192, keyValue: 1024, inner: 28_672, vocabulary: 128_256 } },
  { from: 6 * gibi, widths: { hidden: 4096, keyValue: 1024, inner: 14_336, vocabulary: 128_256 } },
  { from: gibi, widths: { hidden: 2048, keyValue: 256, inner: 5632, vocabulary: 32_000 } },
  { from: 0, widths: { hidden: 512, keyValue: 128, inner: 1408, vocabulary: 4096 } },
];

/**
 * Plans a Llama of at most `bytes` bytes of tensors, less than one row of its last tensor short of it,
 * in `shards` files of about the same size.
 */
export function planLlama(bytes: number, shards: number): PlannedShard[] {
  return split(planTensors(bytes), shards);
}

function planTensors(bytes: number): PlannedTensor[] {
  const chosen = widths.find(({ from }) => bytes >= from)?.widths;
  if (chosen === undefined) throw new Error(`no model has ${bytes} bytes`);
  const { hidden, vocabulary } = chosen;
  const embedding = tensor("model.embed_tokens.weight", [vocabulary, hidden]);
  const layerBytes = sum(planLayer(0, chosen));
  const layers = Math.floor((bytes - 2 * embedding.size) / layerBytes);
  if (layers < 1) throw new Error(`${bytes} bytes are too few for a model`);
  const body = Array.from({ length: layers }, (_, at) => planLayer(at, chosen)).flat();
  // The last tensor takes what the layers leave, so that the size comes out as asked.
  const rows = Math.floor((bytes - embedding.size - sum(body)) / (2 * hidden));
  return [embedding, ...body, tensor("lm_head.weight", [rows, hidden])];
}

function planLayer(number: number, { hidden, keyValue, inner }: Widths): PlannedTensor[] {
  const name = (part: string) => `model.layers.${number}.${part}.weight`;
  return [
    tensor(name("input_layernorm"), [hidden]),
    tensor(name("self_attn.q_proj"), [hidden, hidden]),
    tensor(name("self_attn.k_proj"), [keyValue, hidden]),
    tensor(name("self_attn.v_proj"), [keyValue, hidden]),
    tensor(name("self_attn.o_proj"), [hidden, hidden]),
    tensor(name("post_attention_layernorm"), [hidden]),
    tensor(name("mlp.gate_proj"), [inner, hidden]),
    tensor(name("mlp.up_proj"), [inner, hidden]),
    tensor(name("mlp.down_proj"), [hidden, inner]),
  ];
}

function tensor(name: string, shape: PlannedTensor["shape"]): PlannedTensor {
  const [rows, columns = 1] = shape;
  return { name, dtype: "BF16", shape, size: 2 * rows * columns };
}

function split(tensors: readonly PlannedTensor[], shards: number): PlannedShard[] {
  const total = sum(tensors);
  let at = 0;
  const groups = Map.groupBy(tensors, ({ size }) => {
    const middle = at + size / 2;
    at += size;
    return Math.floor((middle / total) * shards);
  });
  const five = (number: number) => String(number).padStart(5, "0");
  return [...groups.values()].map((group, number, { length }) => ({
    path:
      length === 1
        ? "model.safetensors"
        : `model-${five(number + 1)}-of-${five(length)}.safetensors`,
    tensors: group,
  }));
}

function sum(tensors: readonly PlannedTensor[]): number {
  return tensors.reduce((total, { size }) => total + size, 0);
}

/** The bytes before the tensors of a safetensors file: the length of the JSON, the JSON. */
export function safetensorsHeader(tensors: readonly PlannedTensor[]): Buffer {
  let end = 0;
  const entries = tensors.map(({ name, dtype, shape, size }) => {
    const begin = end;
    end += size;
    return [name, { dtype, shape, data_offsets: [begin, end] }] as const;
  });
  const header = { __metadata__: { format: "pt" }, ...Object.fromEntries(entries) };
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.byteLength));
  return Buffer.concat([length, json]);
}

/** The `config.json` of such a model. */
export const llamaConfig: string = JSON.stringify({
  model_type: "llama",
  architectures: ["LlamaForCausalLM"],
  torch_dtype: "bfloat16",
});
