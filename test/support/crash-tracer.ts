import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { ballastProgram } from "./ballast-command.ts";
import type { CrashMoment, CrashPoints, CrashRun } from "./crash-sweep.ts";
import { toolPath } from "./programs.ts";

const script = join(import.meta.dirname, "crash-tracer.py");

/** A system call that changes files or makes them durable; see crash-tracer.py. */
export interface Step {
  /** Says what it does, the same in each run, where it counts. */
  readonly name?: string;
  readonly call: string;
  readonly path: string;
  /** The second path of calls that have one. */
  readonly to?: string;
  /** Of writes: where in the file, and how many bytes. */
  readonly offset?: number;
  readonly bytes?: number;
  /** The program was killed before it. */
  readonly killed?: true;
}

export interface TraceOptions {
  readonly args: readonly string[];
  /** Where the program runs and keeps its settings, and where traces are kept. */
  readonly home: string;
  /** Only what happens in this folder is a step. */
  readonly root: string;
  /** Steps count from the first on whose path has this in it. */
  readonly from?: string | undefined;
  readonly at?: CrashPoints | undefined;
  /** Called with what it prints. */
  readonly onOutput?: ((text: string) => void) | undefined;
  /** Kills it when aborted. */
  readonly signal?: AbortSignal | undefined;
}

/** Runs `ballast` to its end, or until it is killed. */
export async function traceBallast(options: TraceOptions): Promise<CrashRun> {
  const { args, home, root, from = "", at, onOutput, signal } = options;
  const [log, copies] = [join(home, "steps.jsonl"), join(home, "copies")];
  await rm(copies, { recursive: true, force: true });
  await mkdir(copies);
  const what = ["--root", root, "--log", log, "--from", from, "--copies", copies];
  const copy = at?.copyAt.flatMap((name) => ["--copy", name]) ?? [];
  const kill = at === undefined ? [] : ["--kill", at.killAt];
  const command = ["-S", "-E", script, ...what, ...copy, ...kill, "--", ballastProgram, ...args];
  const child = spawn(toolPath("python"), command, {
    cwd: home,
    // One thread for files, so that every run makes its steps in the same order.
    env: { PATH: process.env["PATH"] ?? "", HOME: home, UV_THREADPOOL_SIZE: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  signal?.addEventListener("abort", () => child.kill("SIGKILL"));
  child.stdout.setEncoding("utf8").on("data", (printed: string) => onOutput?.(printed));
  const [err] = await Promise.all([text(child.stderr), once(child, "close")]);
  const steps = await readSteps(log);
  const names = steps.flatMap(({ name = [] }) => name);
  const failed = at === undefined && child.exitCode !== 0;
  return {
    moments: momentsOf(steps, { root, copies, at }),
    names,
    failure: failed ? err : undefined,
  };
}

/** What was copied, and what the kill left. */
function momentsOf(
  steps: readonly Step[],
  { root, copies, at }: { root: string; copies: string; at: CrashPoints | undefined },
): CrashMoment[] {
  return steps.flatMap((step, index) => {
    const { name = "", killed, bytes = 0 } = step;
    const number = at?.copyAt.indexOf(name) ?? -1;
    if (number < 0) return [];
    const [made, copy] = [steps.slice(0, index), join(copies, String(number))];
    const before = { name, isTorn: false, root: killed === true ? root : copy, steps: made };
    if (bytes < 2) return [before];
    const half = { ...step, bytes: Math.floor(bytes / 2) };
    return [before, { name, isTorn: true, root: `${copy}.torn`, steps: [...made, half] }];
  });
}

async function readSteps(log: string): Promise<Step[]> {
  const lines = (await readFile(log, "utf8")).trim().split("\n");
  return lines.filter((line) => line !== "").map((line): Step => JSON.parse(line));
}
