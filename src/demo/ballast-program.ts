import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";

/** The program of this checkout. */
export const program: string = join(import.meta.dirname, "../../bin/ballast");

/** A `ballast` command that runs as a process of its own, as a user would run it. */
export interface RunningBallast<T> {
  /** Ends it at once, as a crash or the kernel would: it cannot clean anything up. */
  kill(): void;
  /** The JSON document it printed; undefined when it was killed. Rejects when it failed. */
  readonly result: Promise<T | undefined>;
}

export interface BallastOptions {
  readonly store: string;
  readonly signal: AbortSignal;
}

/** Starts `ballast ... --json`, which prints a `T`; aborting the signal kills it. */
export function startBallast<T>(
  args: readonly string[],
  { store, signal }: BallastOptions,
): RunningBallast<T> {
  const child = spawn(program, [...args, "--json"], {
    env: { ...process.env, BALLAST_STORE: store, NO_PROXY: "127.0.0.1", no_proxy: "127.0.0.1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const kill = () => void child.kill("SIGKILL");
  signal.addEventListener("abort", kill, { once: true });
  const finish = async (): Promise<T | undefined> => {
    const closed = once(child, "close");
    const [output, errors] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
    signal.removeEventListener("abort", kill);
    signal.throwIfAborted();
    if (child.signalCode === "SIGKILL") return undefined;
    if (child.exitCode !== 0)
      throw new Error(`ballast ${args.join(" ")} failed (exit code ${child.exitCode}):\n${errors}`);
    const result: T = JSON.parse(output);
    return result;
  };
  return { kill, result: finish() };
}
