import { runCommandLine } from "./program.ts";
import { catchStopSignals, onHangUp } from "./stop-signals.ts";

/** Runs the command line of this process: its arguments, terminal and signals; sets its exit code. */
export async function startCommandLine(): Promise<void> {
  const { stdin, stdout, stderr, env: environment } = process;
  using stop = catchStopSignals();
  const terminal = { stdin, stdout, stderr, environment, onHangUp, ...stop };
  process.exitCode = await runCommandLine(process.argv.slice(2), terminal);
}
