import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { ballastProgram } from "./ballast-command.ts";

/** What is typed once the terminal shows something. */
export type Step = readonly [shown: string, typed: string];

/** Runs `ballast` on a terminal of its own; resolves to its exit code and all that was shown. */
export async function typeToBallast(
  args: readonly string[],
  options: { readonly home: string; readonly steps: readonly Step[] },
): Promise<{ readonly code: number | null; readonly shown: string }> {
  const { home, steps } = options;
  const script = join(import.meta.dirname, "typed-terminal.py");
  const words = [script, JSON.stringify(steps), ballastProgram, ...args];
  const env = { PATH: process.env["PATH"] ?? "", HOME: home };
  const child = spawn("python3", words, { env, stdio: ["ignore", "pipe", "inherit"] });
  const closed = once(child, "close");
  const shown = await text(child.stdout);
  await closed;
  return { code: child.exitCode, shown };
}
