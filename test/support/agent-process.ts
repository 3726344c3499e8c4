import { chmod, chown, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { ballastProgram } from "./ballast-command.ts";
import { type ProgramProcess, startProgram } from "./program-process.ts";

/** The user that agents run as on a node. */
export const agentUser = 64_646;

/** `ballast agent` as on a node: its own user, no capability, no way to get one. */
export interface AgentProcess extends AsyncDisposable {
  readonly root: string;
  readonly run: string;
  /** The process that runs now. */
  readonly process: ProgramProcess;
  /** The log of all processes so far. */
  readonly log: () => string;
  /** Starts it again, after `kill` or `stop`. */
  start(): Promise<void>;
  /** As a crash would. */
  kill(): Promise<void>;
  /** SIGTERM; resolves when it has ended. */
  stop(): Promise<void>;
  /** Empties the run folder, as a reboot does. */
  clearRun(): Promise<void>;
}

/**
 * Starts an agent on `<folder>/store` and `<folder>/run`, which are made as an operator would; `program`
 * is the ballast that it runs.
 */
export async function startAgentProcess(
  folder: string,
  args: readonly string[] = [],
  program: string = ballastProgram,
): Promise<AgentProcess> {
  const [root, run, home] = ["store", "run", "home"].map((name) => join(folder, name));
  if (root === undefined || run === undefined || home === undefined) throw new Error("no folders");
  await chmod(folder, 0o755);
  for (const each of [root, run, home]) {
    await mkdir(each, { recursive: true, mode: 0o750 });
    await chown(each, agentUser, agentUser);
  }
  let earlier = "";
  const begin = async () => {
    const user = [`--reuid=${agentUser}`, `--regid=${agentUser}`, "--clear-groups"];
    const nothing = ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"];
    // A change of user takes back what the outer one set.
    const death = ["--pdeathsig", "KILL"];
    const command = [program, "agent", "--root", root, "--run", run, ...args];
    const started = await startProgram(
      ["setpriv", ...user, ...nothing, ...death, "--", ...command],
      {
        env: { HOME: home },
        ready: /"event":"agent serves"/,
        timeoutMs: 30_000,
      },
    );
    return started.process;
  };
  let current = await begin();
  const kill = async () => {
    earlier += current.logs();
    await current.kill();
  };
  return {
    root,
    run,
    get process() {
      return current;
    },
    log: () => earlier + current.logs(),
    start: async () => {
      current = await begin();
    },
    kill,
    stop: async () => {
      process.kill(current.pid, "SIGTERM");
      await current.ended;
      earlier += current.logs();
    },
    clearRun: async () => {
      for (const name of await readdir(run)) await rm(join(run, name), { recursive: true });
    },
    [Symbol.asyncDispose]: kill,
  };
}
