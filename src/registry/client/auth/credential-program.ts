import { type ChildProcess, spawn } from "node:child_process";
import { isRecord } from "../../../core/chunk-index.ts";
import { ModelError, systemCode } from "../../../core/errors.ts";
import { oneLine } from "../http/answer.ts";
import type { Credential } from "./credential.ts";

export interface CredentialProgramOptions {
  /** PATH finds the program; it inherits all of it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Default 30000. */
  readonly timeoutMs?: number | undefined;
}

const maxOutputBytes = 1_048_576;

/**
 * Runs `docker-credential-<name> get` for `server` (docker-credential-helpers' protocol).
 * Undefined when the program has none. Rejects with UNAUTHORIZED naming the program when it is
 * missing, fails, hangs or answers nonsense; INVALID_ARGUMENT when `name` cannot be a program's.
 */
export async function askCredentialProgram(
  name: string,
  server: string,
  options: CredentialProgramOptions,
): Promise<Credential | undefined> {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name))
    throw new ModelError("INVALID_ARGUMENT", `${oneLine(name)} is no credential helper's name`);
  const program = `docker-credential-${name}`;
  const fail = (why: string, cause?: unknown) =>
    new ModelError("UNAUTHORIZED", `${program}, asked for ${server}: ${why}`, {
      hint: `run it by hand: echo ${server} | ${program} get`,
      cause,
    });
  const { exitCode, output } = await run(program, server, options, fail);
  if (exitCode === 0) return readOutput(output, `from ${program}`, fail);
  if (/credentials not found/i.test(output)) return undefined;
  throw fail(`it failed (exit code ${exitCode}): ${oneLine(output) || "without a word"}`);
}

interface Outcome {
  readonly exitCode: number | string;
  readonly output: string;
}

function run(
  program: string,
  server: string,
  { environment, timeoutMs = 30_000 }: CredentialProgramOptions,
  fail: (why: string, cause?: unknown) => ModelError,
): Promise<Outcome> {
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
  const child = spawn(program, ["get"], {
    env: environment,
    stdio: ["pipe", "pipe", "ignore"],
    timeout: timeoutMs,
    killSignal: "SIGKILL",
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    if (output.length > maxOutputBytes) child.kill("SIGKILL");
  });
  child.on("error", (error) => reject(fail(startFailure(error, program), error)));
  child.on("close", (code, signal) => {
    if (signal === null) resolve({ exitCode: code ?? -1, output });
    else reject(fail(`it was stopped by ${signal} (no answer within ${timeoutMs} ms?)`));
  });
  sendServer(child, server);
  return promise;
}

function sendServer({ stdin }: ChildProcess, server: string): void {
  // A program that never reads its input closes the pipe; its exit code tells the rest.
  stdin?.on("error", () => undefined);
  stdin?.end(server);
}

function startFailure(error: Error, program: string): string {
  return systemCode(error) === "ENOENT"
    ? `there is no ${program} in PATH`
    : `it cannot be started (${systemCode(error) ?? error.name})`;
}

function readOutput(
  output: string,
  origin: string,
  fail: (why: string, cause?: unknown) => ModelError,
): Credential {
  let root: unknown;
  try {
    root = JSON.parse(output);
  } catch {
    throw fail("its answer is not JSON"); // Without the cause: that would quote the answer.
  }
  const { Username: username, Secret: secret } = isRecord(root) ? root : {};
  if (typeof username !== "string" || typeof secret !== "string" || secret === "")
    throw fail("its answer has no Username and Secret");
  return username === "<token>"
    ? { kind: "identity-token", token: secret, origin }
    : { kind: "password", username, password: secret, origin };
}
