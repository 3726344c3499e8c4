import { bytesOf, makeModel, type TestModel } from "./store-models.ts";

/** 128 KiB: with two connections no more than twice this is lost by a kill. */
export const killLayerBytes = 131_072;

/** The model that a killed child and the test that checks on it both know: 8 MiB, files of all sizes. */
export function makeKillModel(): TestModel {
  const files: Record<string, Buffer> = {
    "empty.txt": Buffer.alloc(0),
    "model-1.bin": bytesOf("one", 3_000_000),
    "model-2.bin": bytesOf("two", 2_000_001),
    "model-3.bin": bytesOf("three", 1_200_000),
    "copy/model-3.bin": bytesOf("three", 1_200_000),
  };
  for (let at = 0; at < 60; at += 1) files[`parts/${at}`] = bytesOf(at, 100 + at * 600);
  for (let at = 0; at < 300; at += 1) files[`small/${at}.json`] = bytesOf(`s${at}`, 40 + at);
  return makeModel(files, { chunkBytes: 32_768, layerBytes: killLayerBytes });
}

/** What the child calls the repository. */
export const killSourceName = "registry.example.com/team/model";
/** Bytes of one piece: the child writes a dot before each. */
export const pieceBytes = 16_384;
