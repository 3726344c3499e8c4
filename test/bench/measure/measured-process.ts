import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Readable } from "node:stream";
import * as v from "valibot";

/** A program to run, with an environment of its own. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

/** What a process cost. */
export interface ProcessCost {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakBytes: number;
  /** Written to file systems that lie on disks; what tmpfs holds is not counted. */
  readonly diskBytes: number;
  /** Standard output. */
  readonly output: string;
}

const cost: v.GenericSchema<unknown, Omit<ProcessCost, "output"> & { readonly exit: number }> =
  v.object({
    exit: v.number(),
    seconds: v.number(),
    cpuSeconds: v.number(),
    peakBytes: v.number(),
    diskBytes: v.number(),
  });

const keptCharacters = 65_536;

/**
 * Runs a command to its end. Its costs are written to a file in `folder`; what it prints goes through
 * pipes, so that no disk is in the way. Rejects with the end of what it wrote when it fails, and when
 * `signal` aborts, which kills it.
 */
export async function measureProcess(
  command: Command,
  folder: string,
  signal: AbortSignal,
): Promise<ProcessCost> {
  const { program, args, env, cwd } = command;
  const result = join(folder, "cost.json");
  const script = join(import.meta.dirname, "measure.py");
  const wrapper = ["--pdeathsig", "KILL", "--", "python3", script, result];
  const child = spawn("setpriv", [...wrapper, program, ...args], {
    cwd,
    env,
    stdio: ["ignore", "pipe", "pipe"],
    signal,
    killSignal: "SIGKILL",
  });
  const [output, errors] = [collect(child.stdout), collect(child.stderr)];
  await once(child, "close");
  signal.throwIfAborted();
  const text = await readFile(result, "utf8").catch(() => undefined);
  if (text === undefined) throw new Error(`the measuring python3 failed:\n${errors()}`);
  const { exit, ...found } = v.parse(cost, JSON.parse(text));
  await rm(result);
  if (exit !== 0) throw new Error(`${program} ${args.join(" ")}\nended with ${exit}:\n${errors()}`);
  return { ...found, output: output() };
}

/** Keeps the end of what a stream brings. */
function collect(stream: Readable): () => string {
  let text = "";
  stream.setEncoding("utf8").on("data", (piece: string) => {
    text = (text + piece).slice(-keptCharacters);
  });
  return () => text;
}
