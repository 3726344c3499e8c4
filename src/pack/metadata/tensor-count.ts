import { elementCount, type Tensor } from "../../core/tensor-header.ts";
import { formatParamSize, type ModelFacts, stated } from "./model-facts.ts";
import { precisionOf } from "./precision.ts";

/** Counts the values of a model's tensors, by element type, over all its files. */
export interface TensorCount {
  /** Adds the tensors of one file. Of equal names in one `scope` only the first counts. */
  add(scope: string, tensors: readonly Tensor[]): void;
  facts(): ModelFacts;
}

export function createTensorCount(): TensorCount {
  const seen = new Set<string>();
  const values = new Map<string, number>();
  return {
    add(scope, tensors) {
      for (const { name, dtype, shape } of tensors) {
        const key = `${scope}\0${name}`;
        if (seen.has(key)) continue;
        seen.add(key);
        values.set(dtype, (values.get(dtype) ?? 0) + (elementCount(shape) ?? 0));
      }
    },
    facts() {
      const total = [...values.values()].reduce((sum, count) => sum + count, 0);
      const [most] = [...values].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
      if (most === undefined || total === 0 || !Number.isSafeInteger(total)) return {};
      return stated({
        parameters: String(total),
        paramSize: formatParamSize(total),
        precision: precisionOf(most[0]),
      });
    },
  };
}
