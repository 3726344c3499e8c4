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

type Action = "get" | "store" | "erase";

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
  const { fail, outcome } = await ask({ name, action: "get", server, input: server }, options);
  const { exitCode, output } = outcome;
  if (exitCode === 0) return readOutput(output, `from docker-credential-${name}`, fail);
  if (isUnknown(outcome)) return undefined;
  throw fail(describeExit(outcome));
}

/**
 * Has `docker-credential-<name> store` keep a login; the secret goes to its standard input only.
 * Rejects like `askCredentialProgram`.
 */
export async function storeInCredentialProgram(
  name: string,
  login: { readonly server: string; readonly username: string; readonly password: string },
  options: CredentialProgramOptions,
): Promise<void> {
  const { server, username, password } = login;
  const input = JSON.stringify({ ServerURL: server, Username: username, Secret: password });
  const { fail, outcome } = await ask({ name, action: "store", server, input }, options);
  // Not with its output: nobody knows whether it repeats what it was given.
  if (outcome.exitCode !== 0) throw fail(`it did not keep the login (${outcome.exitCode})`);
}

/** Has `docker-credential-<name> erase` forget a login, there or not. Rejects likewise. */
export async function eraseFromCredentialProgram(
  name: string,
  server: string,
  options: CredentialProgramOptions,
): Promise<void> {
  const { fail, outcome } = await ask({ name, action: "erase", server, input: server }, options);
  if (outcome.exitCode !== 0 && !isUnknown(outcome)) throw fail(describeExit(outcome));
}

interface Question {
  readonly name: string;
  readonly action: Action;
  readonly server: string;
  readonly input: string;
}

async function ask(
  { name, action, server, input }: Question,
  options: CredentialProgramOptions,
): Promise<{ readonly fail: Fail; readonly outcome: Outcome }> {
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name))
    throw new ModelError("INVALID_ARGUMENT", `${oneLine(name)} is no credential helper's name`);
  const program = `docker-credential-${name}`;
  const verb = { get: "asked for", store: "to keep the login for", erase: "to forget" }[action];
  const fail: Fail = (why, cause) =>
    new ModelError("UNAUTHORIZED", `${program}, ${verb} ${server}: ${why}`, {
      hint:
        action === "store"
          ? `does ${program} work here? It is named in docker's config.json (credsStore, credHelpers)`
          : `run it by hand: echo ${server} | ${program} ${action}`,
      cause,
    });
  return { fail, outcome: await run([program, action], input, options, fail) };
}

type Fail = (why: string, cause?: unknown) => ModelError;

function isUnknown({ output }: Outcome): boolean {
  return /credentials not found/i.test(output);
}

function describeExit({ exitCode, output }: Outcome): string {
  return `it failed (exit code ${exitCode}): ${oneLine(output) || "without a word"}`;
}

interface Outcome {
  readonly exitCode: number | string;
  readonly output: string;
}

function run(
  [program, action]: readonly [string, Action],
  input: string,
  { environment, timeoutMs = 30_000 }: CredentialProgramOptions,
  fail: Fail,
): Promise<Outcome> {
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
  const child = spawn(program, [action], {
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
  send(child, input);
  return promise;
}

function send({ stdin }: ChildProcess, input: string): void {
  // A program that never reads its input closes the pipe; its exit code tells the rest.
  stdin?.on("error", () => undefined);
  stdin?.end(input);
}

function startFailure(error: Error, program: string): string {
  return systemCode(error) === "ENOENT"
    ? `there is no ${program} in PATH`
    : `it cannot be started (${systemCode(error) ?? error.name})`;
}

function readOutput(output: string, origin: string, fail: Fail): Credential {
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
