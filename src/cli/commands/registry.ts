import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import type { Command } from "commander";
import { ModelError, systemCode } from "../../core/errors.ts";
import type { RegistryOptions } from "../../registry/server/server.ts";
import { addQuietFlag, type OutputFlags } from "../common-flags.ts";
import { readLogin } from "../connection-flags.ts";
import { parseListen } from "../flag-values.ts";
import type { Output } from "../output.ts";
import { redact } from "../redact.ts";
import { untilStopped } from "../service.ts";
import type { Terminal } from "../terminal.ts";
import { printable } from "../text.ts";

interface ServeFlags extends OutputFlags {
  readonly root: string;
  readonly listen: string;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  readonly username?: string | undefined;
  readonly passwordStdin?: boolean | undefined;
}

type AccessRecord = Parameters<NonNullable<RegistryOptions["onRequest"]>>[0];

const examples = `
Examples:
  ballast registry serve --root ./registry --listen 127.0.0.1:5000
  ballast registry serve --root /srv/models --listen 0.0.0.0:5000 --tls-cert cert.pem --tls-key key.pem

It is an OCI registry for any client, over an OCI image layout in DIR, for one machine or
a small network. Without --username everybody who reaches it may read and write.`;

/** Adds `ballast registry`. */
export function addRegistry(program: Command, terminal: Terminal, output: Output): void {
  const registry = program
    .command("registry")
    .helpCommand(false)
    .summary("serve models from a folder")
    .description("The registry that comes with Ballast.");
  const serve = registry
    .command("serve")
    .summary("run a registry until it is stopped")
    .description(
      "Runs an OCI registry. Prints its URL once it listens; Ctrl-C or SIGTERM ends it after the requests that run.",
    )
    .requiredOption("--root <DIR>", "folder of its content; made where missing")
    .requiredOption("--listen <HOST:PORT>", "where to listen; port 0 takes a free one")
    .option("--tls-cert <FILE>", "serve HTTPS with this PEM certificate; needs --tls-key")
    .option("--tls-key <FILE>", "the certificate's PEM private key")
    .option("--username <NAME>", "let in only NAME; needs --password-stdin")
    .option("--password-stdin", "read NAME's password from standard input")
    .addHelpText("after", examples);
  addQuietFlag(serve);
  serve.action(async (flags: ServeFlags) => serveRegistry(flags, terminal, output));
}

async function serveRegistry(flags: ServeFlags, terminal: Terminal, output: Output): Promise<void> {
  const { stderr, environment } = terminal;
  const listen = parseListen(flags.listen);
  const tls = await readTls(flags);
  const auth = await readLogin(flags, terminal);
  const log = (line: string) => void stderr.write(`${printable(line)}\n`);
  const note = flags.quiet === true ? () => undefined : log;
  const { startRegistry } = await import("../../registry/server/server.ts");
  await using server = await startRegistry({
    root: flags.root,
    listen,
    tls,
    auth,
    onRequest: (record) => note(redact(describeAccess(record, new Date()), environment)),
  });
  if (auth === undefined && !isLoopback(listen.host))
    note("warning: everybody who reaches this address may read and write; --username stops that");
  await output.print(server.url);
  await untilStopped(terminal);
  note("stopping; requests that run are finished first");
}

/** One line of the access log. */
function describeAccess(record: AccessRecord, time: Date): string {
  const { method, path, status, durationMs, remoteAddress = "-", error } = record;
  const failure = error instanceof Error ? ` ${error.message.split("\n")[0]}` : "";
  return `${time.toISOString()} ${remoteAddress} ${method} ${path} ${status} ${Math.round(durationMs)} ms${failure}`;
}

async function readTls({ tlsCert, tlsKey }: ServeFlags): Promise<RegistryOptions["tls"]> {
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined)
    throw new ModelError("INVALID_ARGUMENT", "HTTPS needs both --tls-cert and --tls-key");
  const [cert, key] = await Promise.all([tlsCert, tlsKey].map(readPem));
  return cert === undefined || key === undefined ? undefined : { cert, key };
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new ModelError("INVALID_ARGUMENT", `${path} cannot be read: ${systemCode(error)}`, {
      cause: error,
    });
  }
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}
