import { type ChildProcessByStdio, spawn } from "node:child_process";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";

const library = join(import.meta.dirname, "../../src/index.ts");

export interface LibraryProcessOptions {
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Flags for node. */
  readonly flags?: readonly string[] | undefined;
  /** A program and its arguments that starts node. */
  readonly prefix?: readonly string[] | undefined;
}

/** Starts a process that runs `script`, a module body in which `ballast` is the library. */
export function startLibraryProcess(
  script: string,
  { env, flags = [], prefix = [] }: LibraryProcessOptions = {},
): ChildProcessByStdio<null, Readable, Readable> {
  const source = `const ballast = await import(${JSON.stringify(library)});\n${script}`;
  const [program = "", ...args] = [...prefix, process.execPath, ...flags];
  return spawn(program, [...args, "--input-type=module", "-e", source], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
}

/** Runs it to its end and returns what it printed; rejects with its standard error. */
export async function runLibraryProcess(
  script: string,
  options?: LibraryProcessOptions,
): Promise<string> {
  const child = startLibraryProcess(script, options);
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject).once("exit", resolve);
  });
  const [code, printed, errors] = await Promise.all([
    exited,
    text(child.stdout),
    text(child.stderr),
  ]);
  if (code !== 0) throw new Error(`exit code ${code}: ${errors}`);
  return printed;
}
