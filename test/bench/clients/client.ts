import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Command } from "../measure/measured-process.ts";
import type { ModelFile } from "../models/model-files.ts";
import type { RunningServer } from "../servers/running-server.ts";

/** What a client is asked to bring here. */
export interface PullJob {
  readonly server: RunningServer;
  /** `repository:tag`. */
  readonly name: string;
  /** The folder to fill: a store, a layout or a plain folder, as the client has it. */
  readonly output: string;
  /** An empty folder for the client's own files. */
  readonly home: string;
  /** What there is to pull, for a client that only knows URLs. */
  readonly files: readonly ModelFile[];
}

/** What a client is asked to send. */
interface PushJob {
  readonly server: RunningServer;
  /** `repository:tag`. */
  readonly name: string;
  /** The model's folder. */
  readonly source: string;
  /** The same as an OCI layout folder with the tag `tag`. */
  readonly layout: string;
  readonly tag: string;
  readonly home: string;
}

/** A program that moves models, with the fastest settings that its documentation has. */
export interface Client {
  readonly name: string;
  pull(job: PullJob): Promise<Command>;
  push(job: PushJob): Promise<Command>;
  /** Prints its version. */
  version(home: string): Promise<Command>;
}

/** What a client is asked to bring from one registry to another. */
interface CopyJob {
  readonly from: RunningServer;
  readonly to: RunningServer;
  /** `repository:tag`, on both. */
  readonly name: string;
  readonly home: string;
}

/** A program that copies between registries, likewise. */
export interface Copier {
  readonly name: string;
  copy(job: CopyJob): Promise<Command>;
}

/** A command with nothing of this process's environment but where programs are. */
export async function makeCommand(
  program: string,
  args: readonly string[],
  options: { readonly home: string; readonly env?: Readonly<Record<string, string>> },
): Promise<Command> {
  const { home, env } = options;
  const temporary = join(home, "tmp");
  await mkdir(temporary, { recursive: true });
  return {
    program,
    args,
    env: {
      PATH: process.env["PATH"] ?? "",
      HOME: home,
      TMPDIR: temporary,
      DOCKER_CONFIG: home,
      ...env,
    },
    cwd: home,
  };
}

/** What makes a program written in Go trust a server's authority. */
export function trust({ authorityFile }: RunningServer): Record<string, string> {
  return authorityFile === undefined ? {} : { SSL_CERT_FILE: authorityFile };
}
