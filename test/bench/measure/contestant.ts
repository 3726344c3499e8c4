import type { Role, Run } from "../results.ts";
import type { RunningServer } from "../servers/running-server.ts";
import type { Command } from "./measured-process.ts";

/** One client in one row. */
export interface Contestant {
  readonly client: string;
  readonly role: Role;
  /** Makes fresh state in an empty folder, untimed, for one run. */
  prepare(folder: string): Promise<Attempt>;
}

/** A run that is ready to start. Disposed after it; the folder is removed by whoever made it. */
export interface Attempt extends Partial<AsyncDisposable> {
  readonly command: Command;
  /** Whose CPU time is counted. */
  readonly servers: readonly RunningServer[];
  /** Whose requests are counted; one of `servers`. */
  readonly counted?: RunningServer | undefined;
  /** Adds what only this row knows. */
  readonly finish?: ((run: Run) => Promise<Run>) | undefined;
  /** Rejects when what the command left is wrong. `output` is its standard output. */
  verify(output: string): Promise<void>;
}
