import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { toolPath } from "./programs.ts";

export interface PeerOptions {
  /** Where the program runs and keeps its settings. */
  readonly folder: string;
  /** Registries without TLS. */
  readonly hosts?: readonly string[] | undefined;
}

/** Runs the program of ORAS, against hosts without TLS; resolves to its standard output. */
export async function runOras(
  args: readonly string[],
  login?: { readonly username: string; readonly password: string },
): Promise<string> {
  const { username = "", password = "" } = login ?? {};
  const env = { ...process.env, ORAS_USERNAME: username, ORAS_PASSWORD: password };
  const { stdout } = await promisify(execFile)(toolPath("oras"), [...args], { env });
  return stdout.trim();
}

/**
 * Runs crane or regctl; resolves to its standard output. Rejects with what it wrote to standard
 * error when it fails.
 */
export async function runPeer(
  program: "crane" | "regctl",
  args: readonly string[],
  { folder, hosts = [] }: PeerOptions,
): Promise<string> {
  // crane takes loopback hosts for ones without TLS by itself.
  const plain = hosts.flatMap((host) => ["--host", `reg=${host},tls=disabled`]);
  const all = program === "crane" ? [...args] : [...args, ...plain];
  const env = {
    ...process.env,
    DOCKER_CONFIG: folder,
    REGCTL_CONFIG: join(folder, "regctl.json"),
  };
  const options = { env, cwd: folder, maxBuffer: 16_777_216 };
  const { stdout } = await promisify(execFile)(toolPath(program), all, options);
  return stdout.trim();
}
