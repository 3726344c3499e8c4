import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";

export const ballastProgram: string = join(import.meta.dirname, "../../bin/ballast");

export interface CommandResult {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunningCommand {
  readonly child: ChildProcess;
  readonly result: Promise<CommandResult>;
}

export interface CommandOptions {
  /** Home folder: configuration, logins, caches. */
  readonly home: string;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly input?: string | undefined;
  readonly program?: string | undefined;
  /** Runs it as this user. */
  readonly uid?: number | undefined;
}

/** Starts `ballast` as a user's shell would, with an environment of the test's own. */
export function startBallast(args: readonly string[], options: CommandOptions): RunningCommand {
  const { home, env, input = "", program = ballastProgram, uid } = options;
  const child = spawn(program, args, {
    env: { PATH: process.env["PATH"] ?? "", HOME: home, ...env },
    stdio: ["pipe", "pipe", "pipe"],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  // A command that does not read its input closes it early.
  child.stdin.on("error", () => undefined).end(input);
  const finish = async () => {
    const closed = once(child, "close");
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
    await closed;
    return { code: child.exitCode, out, err };
  };
  return { child, result: finish() };
}

export function runBallast(
  args: readonly string[],
  options: CommandOptions,
): Promise<CommandResult> {
  return startBallast(args, options).result;
}
