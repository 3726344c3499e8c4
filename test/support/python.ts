import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { toolPath } from "./programs.ts";

const script = join(import.meta.dirname, "tensors.py");
const maxOutputBytes = 16_777_216;

/** What a tune changed, in bytes, as Python sees it tensor by tensor. */
export interface TuneCost {
  /** Of the whole tune. */
  readonly total: number;
  /** Of tensors, headers and other files that the original does not have. */
  readonly changed: number;
  /** Groups of changed tensors that lie next to each other. */
  readonly runs: number;
  /** Borders between shards where the original has none. */
  readonly edges: number;
  /** Of chunks that the original does not have, by the rules of docs/format.md. */
  readonly fresh: number;
}

/** Makes a tune of the model in `original`: `kind` is a function in tensors.py. */
export async function makeTune(kind: string, original: string, target: string): Promise<void> {
  await askPython("tune", kind, original, target);
}

/** Compares two model folders. */
export async function measureTune(original: string, tune: string): Promise<TuneCost> {
  const cost: TuneCost = JSON.parse(await askPython("cost", original, tune));
  return cost;
}

/**
 * Loads all safetensors files below both folders with Python's safetensors and numpy. Resolves to
 * how many tensors there are; rejects when a name, dtype, shape or value differs.
 */
export async function compareTensors(expected: string, actual: string): Promise<number> {
  return Number(await askPython("compare", expected, actual));
}

async function askPython(...args: string[]): Promise<string> {
  const options = { maxBuffer: maxOutputBytes };
  const { stdout } = await promisify(execFile)(toolPath("python"), [script, ...args], options);
  return stdout;
}
