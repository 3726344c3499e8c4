import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Readable } from "node:stream";

const keptCharacters = 256 * 1024;

/** A real program that runs beside the tests. */
export interface ProgramProcess extends AsyncDisposable {
  readonly pid: number;
  /** The end of what it wrote to standard output and error. */
  logs(): string;
  /** Resolves when it has ended, however. */
  readonly ended: Promise<void>;
  /** Ends it at once, as a crash would (SIGKILL), and waits until it is gone. */
  kill(): Promise<void>;
}

export interface ProgramOptions {
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** Matches a line the program writes when it is ready. */
  readonly ready: RegExp;
  readonly timeoutMs: number;
}

/**
 * Starts a program and waits for its ready line; resolves to the process and that line's match.
 * Rejects with what it wrote when it exits or stays silent. It dies with the test process, even a
 * killed one (Linux: PR_SET_PDEATHSIG).
 */
export async function startProgram(
  command: readonly [program: string, ...args: string[]],
  options: ProgramOptions,
): Promise<{ process: ProgramProcess; match: RegExpExecArray }> {
  const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", ...command], {
    env: { ...process.env, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let log = "";
  const { promise: ready, resolve, reject } = Promise.withResolvers<RegExpExecArray>();
  const collect = (stream: Readable) =>
    stream.setEncoding("utf8").on("data", (text: string) => {
      log = (log + text).slice(-keptCharacters);
      const match = options.ready.exec(log);
      if (match !== null) resolve(match);
    });
  collect(child.stdout);
  collect(child.stderr);
  const fail = (why: string) => reject(new Error(`${command[0]} ${why}:\n${log}`));
  const exited = once(child, "close").then(
    () => undefined,
    () => undefined,
  );
  child.once("error", (error) => fail(`did not start (${error.message})`));
  child.once("close", (code, signal) => fail(`ended with ${code ?? signal}`));
  const timer = setTimeout(() => fail("did not get ready in time"), options.timeoutMs);
  const kill = async () => {
    child.kill("SIGKILL");
    await exited;
  };
  try {
    const match = await ready;
    const running = {
      pid: child.pid ?? -1,
      ended: exited,
      logs: () => log,
      kill,
      [Symbol.asyncDispose]: kill,
    };
    return { process: running, match };
  } catch (error) {
    await kill();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
