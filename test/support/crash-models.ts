import { makeSafetensors, writeTree } from "./models.ts";
import { mebi, seededBytes } from "./workplace.ts";

/**
 * Writes the model that crash tests move: a large file of three chunks, and enough small ones to be
 * committed together around one sync of the filesystem.
 */
export async function writeCrashModel(folder: string): Promise<void> {
  await writeTree(folder, {
    "model.safetensors": weights("a", "b"),
    "config.json": "{}",
    "empty.txt": "",
    "sub/deep/kept.json": "[1]",
    "sub/removed.json": "[2]",
    "sub/twin.json": "[1]",
    "vocabulary.txt": "a b c",
  });
}

/** Its next version: some chunks are new, the large one is not; files came, went and changed. */
export async function writeNextCrashModel(folder: string): Promise<void> {
  await writeTree(folder, {
    "model.safetensors": weights("a", "c"),
    "config.json": '{"next":true}',
    "empty.txt": "",
    "sub/added.json": "[3]",
    "sub/deep/kept.json": "[1]",
    "sub/more.json": "[4]",
    "sub/twin.json": "[5]",
    "vocabulary.txt": "a b c d",
  });
}

/** Three chunks: the header, a tensor of 2 MiB, the small ones behind it (docs/format.md). */
function weights(large: string, small: string): Buffer {
  const tensors = [large, small].map((seed, at) => {
    const bytes = seededBytes(seed, at === 0 ? 2 * mebi : 100_000);
    return { name: `layers.${at}.weight`, dtype: "U8", shape: [bytes.byteLength], bytes };
  });
  return makeSafetensors(tensors);
}
