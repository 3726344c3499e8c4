import type { ChunkIndex, IndexedFile } from "../core/chunk-index.ts";
import { forEachConcurrently } from "../core/concurrently.ts";
import { readGgufHeader } from "../core/gguf.ts";
import type { Abortable } from "../core/progress.ts";
import { readSafetensorsHeader } from "../core/safetensors.ts";
import type { ReadAt, Tensor } from "../core/tensor-header.ts";
import type { Repository } from "../oci/repository.ts";

/**
 * Reads the tensor tables of a model's safetensors and GGUF files by ranges, without the weights.
 * Files whose header is damaged are left out. For show: nothing is checked against a digest here.
 */
export async function readTensors(
  repository: Repository,
  index: ChunkIndex,
  options: Abortable,
): Promise<Map<IndexedFile, readonly Tensor[]>> {
  const tensors = new Map<IndexedFile, readonly Tensor[]>();
  const files = index.files.filter((file) => /\.(safetensors|gguf)$/.test(file.path));
  await forEachConcurrently(files, 8, async (file) => {
    const read = file.path.endsWith(".gguf") ? readGgufHeader : readSafetensorsHeader;
    const reading = await read(remoteReadAt(repository, { index, file, ...options }), file.size);
    if (reading.outcome === "read") tensors.set(file, reading.header.tensors);
  });
  return tensors;
}

function remoteReadAt(
  repository: Repository,
  { index, file, signal }: Abortable & { index: ChunkIndex; file: IndexedFile },
): ReadAt {
  return async (from, length) => {
    const pieces: Uint8Array[] = [];
    let start = 0;
    for (const { layer, offset, size } of file.chunks) {
      const begin = Math.max(from, start);
      const end = Math.min(from + length, start + size);
      const blob = index.layers[layer]?.digest;
      if (begin < end && blob !== undefined) {
        const range = { offset: offset + begin - start, length: end - begin };
        for await (const piece of repository.readBlob(blob, { range, signal }))
          pieces.push(Uint8Array.from(piece));
      }
      start += size;
    }
    return Buffer.concat(pieces);
  };
}
