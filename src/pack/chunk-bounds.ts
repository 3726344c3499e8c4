import { readGgufHeader } from "../core/gguf.ts";
import { quotePath } from "../core/model-path.ts";
import { readSafetensorsHeader } from "../core/safetensors.ts";
import type { HeaderReading, ReadAt, TensorHeader } from "../core/tensor-header.ts";
import { pieceSizes, tensorChunkSizes } from "./tensor-groups.ts";

/** How a file is cut: into chunks whose sizes its header gives, or where its content says so. */
export type ChunkPlan =
  | {
      readonly kind: "fixed";
      /** Bytes of each chunk, in file order; they add up to the file's size. */
      readonly sizes: readonly number[];
    }
  | {
      readonly kind: "content";
      /** Why a file that looks like a weights file is cut like any other; names the file. */
      readonly warning?: string | undefined;
    };

/** What reads the tensor table of one format. */
interface TensorFormat {
  readonly suffix: string;
  read(readAt: ReadAt, size: number): Promise<HeaderReading<TensorHeader<unknown>>>;
}

const formats: readonly TensorFormat[] = [
  { suffix: ".safetensors", read: readSafetensorsHeader },
  { suffix: ".gguf", read: readGgufHeader },
];

/** Tells whether chunks of `path` may end where its tensors do, so that its header must be read. */
export function hasTensorFormat(path: string): boolean {
  return formats.some(({ suffix }) => path.endsWith(suffix));
}

/**
 * Decides how `file` is cut, from its name, its size and its header alone (docs/format.md,
 * "Where chunks end"). Reads nothing when the name has no tensor format. A header that cannot be
 * trusted is no failure: the plan is "content", with a warning. Rejects only as `readAt` does.
 */
export async function planChunks(
  file: { readonly path: string; readonly size: number },
  readAt: ReadAt,
): Promise<ChunkPlan> {
  const format = formats.find(({ suffix }) => file.path.endsWith(suffix));
  if (format === undefined || file.size === 0) return { kind: "content" };
  const reading = await format.read(readAt, file.size);
  if (reading.outcome === "damaged")
    return {
      kind: "content",
      warning: `${quotePath(file.path)} ${reading.reason}; it is packed like a file without tensors`,
    };
  const { headerBytes, tensors } = reading.header;
  return { kind: "fixed", sizes: [...pieceSizes(headerBytes), ...tensorChunkSizes(tensors)] };
}
