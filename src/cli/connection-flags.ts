import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { undefinedIfMissing } from "../core/absence.ts";
import { ModelError, systemCode } from "../core/errors.ts";
import type { ConnectionOptions } from "../model/connection.ts";
import { collect } from "./flag-values.ts";
import type { Terminal } from "./terminal.ts";

export interface ConnectionFlags {
  readonly plainHttp?: boolean | undefined;
  readonly caFile?: readonly string[] | undefined;
  readonly username?: string | undefined;
  readonly passwordStdin?: boolean | undefined;
  readonly registryProfile?: string | undefined;
}

/** Adds the flags of every command that reaches a registry. */
export function addConnectionFlags(command: Command): Command {
  return command
    .optionsGroup("Reaching the registry:")
    .option("--plain-http", "speak HTTP without TLS (the default for loopback hosts only)")
    .option("--no-plain-http", "speak TLS to loopback hosts too")
    .option(
      "--ca-file <FILE>",
      "trust the CA certificates in this PEM file too; repeatable",
      collect,
    )
    .option("--username <NAME>", "log in as NAME; needs --password-stdin")
    .option("--password-stdin", "read the password from standard input")
    .option(
      "--registry-profile <NAME>",
      "what the registry takes, where its host does not tell: ecr, acr-premium, harbor, ...",
    );
}

/**
 * Reads what the flags and the environment say about reaching registries. Rejects with
 * INVALID_ARGUMENT for a file that cannot be read or half a login.
 */
export async function readConnection(
  flags: ConnectionFlags,
  terminal: Terminal,
): Promise<ConnectionOptions> {
  const { environment } = terminal;
  const ca = await readAuthorities(flags, terminal);
  const credentials = await readLogin(flags, terminal);
  const registryProfile =
    flags.registryProfile ?? (environment["BALLAST_REGISTRY_PROFILE"] || undefined);
  return { plainHttp: flags.plainHttp, ca, credentials, environment, registryProfile };
}

/** The name and password that `--username` and `--password-stdin` give; undefined without both. */
export async function readLogin(
  { username, passwordStdin = false }: ConnectionFlags,
  { stdin, signal }: Terminal,
): Promise<{ readonly username: string; readonly password: string } | undefined> {
  if (username === undefined && !passwordStdin) return undefined;
  if (username === undefined || !passwordStdin)
    throw new ModelError("INVALID_ARGUMENT", "a login needs both --username and --password-stdin", {
      hint: "for example: ballast pull --username me --password-stdin REF < password.txt",
    });
  return { username, password: await readPassword({ stdin, signal }) };
}

/** The password that standard input holds. Rejects with INVALID_ARGUMENT where a terminal would show it. */
export async function readPassword({
  stdin,
  signal,
}: Pick<Terminal, "stdin" | "signal">): Promise<string> {
  if (stdin.isTTY === true)
    throw new ModelError("INVALID_ARGUMENT", "--password-stdin would show what you type", {
      hint: "pipe the password in, or set BALLAST_USERNAME and BALLAST_PASSWORD",
    });
  const password = (await readAll(stdin, signal)).replace(/\r?\n$/, "");
  if (password === "") throw new ModelError("INVALID_ARGUMENT", "standard input held no password");
  return password;
}

async function readAuthorities(
  flags: ConnectionFlags,
  { environment }: Terminal,
): Promise<string[] | undefined> {
  const named = [...(flags.caFile ?? []), environment["BALLAST_CA_FILE"] || []].flat();
  const texts = await Promise.all(named.map(readAuthority));
  const system = environment["SSL_CERT_FILE"];
  // Distributions set this variable to paths that do not exist everywhere: absence is no mistake.
  const more = system ? await readFile(system, "utf8").catch(undefinedIfMissing) : undefined;
  const all = more === undefined ? texts : [...texts, more];
  return all.length === 0 ? undefined : all;
}

async function readAuthority(path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch((error: unknown) => {
    throw new ModelError(
      "INVALID_ARGUMENT",
      `CA file ${path} cannot be read: ${systemCode(error)}`,
      {
        cause: error,
      },
    );
  });
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text;
  throw new ModelError("INVALID_ARGUMENT", `CA file ${path} holds no PEM certificate`);
}

async function readAll(stdin: Terminal["stdin"], signal: AbortSignal): Promise<string> {
  let text = "";
  const { addAbortSignal } = await import("node:stream");
  for await (const piece of addAbortSignal(signal, stdin)) {
    text += String(piece);
    if (text.length > 65_536)
      throw new ModelError("INVALID_ARGUMENT", "standard input holds more than a password");
  }
  return text;
}
