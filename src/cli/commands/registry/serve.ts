import { isIP } from "node:net";
import { type Command, Option } from "commander";
import { ModelError } from "../../../core/errors.ts";
import type { RegistryOptions, RegistryServer } from "../../../registry/server/server.ts";
import { addQuietFlag, type OutputFlags } from "../../common-flags.ts";
import { readLogin } from "../../connection-flags.ts";
import { parseDuration, parseListen, parseWait } from "../../flag-values.ts";
import type { Output } from "../../output.ts";
import { redact } from "../../redact.ts";
import { untilStopped } from "../../service.ts";
import type { Terminal } from "../../terminal.ts";
import { printable } from "../../text.ts";
import { type AccessLogFormat, formatAccess } from "./access-log.ts";
import { addLimitFlags, type LimitFlags, readLimits } from "./limit-flags.ts";
import { describePruning } from "./prune.ts";

interface ServeFlags extends OutputFlags, LimitFlags {
  readonly root: string;
  readonly listen: string;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  readonly tlsClientCa?: string | undefined;
  readonly username?: string | undefined;
  readonly passwordStdin?: boolean | undefined;
  readonly pruneEvery?: number | undefined;
  readonly pruneGrace?: number | undefined;
  readonly htpasswd?: string | undefined;
  readonly access?: string | undefined;
  readonly anonymousRead?: boolean | undefined;
  readonly metricsListen?: string | undefined;
  readonly accessLog: AccessLogFormat;
  readonly without?: string | undefined;
  readonly redirectBlobs?: boolean | undefined;
}

/** What `--without` may name. */
const offers = ["referrers", "ranges", "chunked", "deletes", "mounts"] as const;

const examples = `
Examples:
  ballast registry serve --root ./registry --listen 127.0.0.1:5000
  ballast registry serve --root /srv/models --listen 0.0.0.0:5000 --tls-cert cert.pem --tls-key key.pem \\
    --htpasswd users --anonymous-read --min-free 5% --metrics-listen 127.0.0.1:9500
  htpasswd -B -c users alice            # adds an account; the registry takes it up at once

It is an OCI registry for any client, over an OCI image layout for each repository in DIR.
Without accounts everybody who reaches it may read and write. docs/registry.md has the file of
rules (--access), all limits and what is answered above them.`;

/** Adds `ballast registry serve`. */
export function addServe(registry: Command, terminal: Terminal, output: Output): void {
  const serve = registry
    .command("serve")
    .summary("run a registry until it is stopped")
    .description(
      "Runs an OCI registry. Prints its URL once it listens; Ctrl-C or SIGTERM ends it after the requests that run, SIGHUP has it read its files again.",
    )
    .requiredOption("--root <DIR>", "folder of its content; made where missing")
    .requiredOption("--listen <HOST:PORT>", "where to listen; port 0 takes a free one")
    .option("--tls-cert <FILE>", "serve HTTPS with this PEM certificate; needs --tls-key")
    .option("--tls-key <FILE>", "the certificate's PEM private key")
    .option("--tls-client-ca <FILE>", "let in only clients with a certificate of this authority")
    .optionsGroup("Accounts:")
    .option("--htpasswd <FILE>", "let in the users of this file, made with htpasswd -B")
    .option("--access <FILE>", "who may read, write and delete what (YAML)")
    .option("--anonymous-read", "let everybody read, and accounts write")
    .option("--username <NAME>", "let in only NAME; needs --password-stdin")
    .option("--password-stdin", "read NAME's password from standard input")
    .optionsGroup("Upkeep:")
    .option(
      "--prune-every <TIME>",
      "remove what no tag reaches, this often (default: never)",
      parseWait,
    )
    .option("--prune-grace <TIME>", "how long that stays at least (default: 24h)", parseDuration)
    .optionsGroup("Watching:")
    .option("--metrics-listen <HOST:PORT>", "serve /metrics, /healthz and /readyz there")
    .addOption(
      new Option("--access-log <FORMAT>", "a line for each request")
        .choices(["text", "json", "off"])
        .default("text"),
    );
  addLimitFlags(serve)
    .optionsGroup("Being like others:")
    .option("--without <LIST>", `leave out some of ${offers.join(",")}`)
    .option("--redirect-blobs", "send readers of blobs on to signed URLs of this server")
    .addHelpText("after", examples);
  addQuietFlag(serve);
  serve.action(async (flags: ServeFlags) => serveRegistry(flags, terminal, output));
}

async function serveRegistry(flags: ServeFlags, terminal: Terminal, output: Output): Promise<void> {
  const { stderr, environment } = terminal;
  const log = (line: string) => void stderr.write(`${printable(redact(line, environment))}\n`);
  const note = flags.quiet === true ? () => undefined : log;
  const options = await readOptions(flags, terminal);
  const { startRegistry } = await import("../../../registry/server/server.ts");
  await using server = await startRegistry({
    ...options,
    pruneEveryMs: flags.pruneEvery,
    pruneGraceMs: flags.pruneGrace,
    onPrune: (report) => note(describePruning(report)),
    onRequest: (record) => {
      const line = formatAccess(record, flags.accessLog);
      if (line !== undefined) note(line);
    },
    onWarning: (message) => log(`warning: ${message}; what was read before stays in force`),
  });
  using _ = terminal.onHangUp(() => void server.reload());
  for (const warning of warnings(flags, options)) note(`warning: ${warning}`);
  noteMetrics(server, note);
  await output.print(server.url);
  await untilStopped(terminal);
  note("stopping; requests that run are finished first");
}

async function readOptions(flags: ServeFlags, terminal: Terminal): Promise<RegistryOptions> {
  const { root, htpasswd, access, anonymousRead, metricsListen, redirectBlobs } = flags;
  return {
    root,
    listen: parseListen(flags.listen),
    tls: readTls(flags),
    auth: await readLogin(flags, terminal),
    htpasswdFile: htpasswd,
    accessFile: access,
    anonymousRead,
    limits: readLimits(flags),
    offers: readOffers(flags.without),
    redirectBlobs: redirectBlobs === true ? {} : undefined,
    metricsListen: metricsListen === undefined ? undefined : parseListen(metricsListen),
  };
}

function readTls({ tlsCert, tlsKey, tlsClientCa }: ServeFlags): RegistryOptions["tls"] {
  if (tlsCert === undefined && tlsKey === undefined && tlsClientCa === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined)
    throw new ModelError("INVALID_ARGUMENT", "HTTPS needs both --tls-cert and --tls-key");
  return { certFile: tlsCert, keyFile: tlsKey, clientAuthorityFile: tlsClientCa };
}

function readOffers(without: string | undefined): RegistryOptions["offers"] {
  const names = without?.split(",").map((name) => name.trim()) ?? [];
  const unknown = names.find((name) => !offers.some((offer) => offer === name));
  if (unknown !== undefined)
    throw new ModelError("INVALID_ARGUMENT", `--without: ${JSON.stringify(unknown)} is unknown`, {
      hint: `say some of ${offers.join(",")}`,
    });
  return Object.fromEntries(names.map((name) => [name, false]));
}

function warnings({ listen }: ServeFlags, options: RegistryOptions): string[] {
  const { auth, htpasswdFile, accessFile, tls } = options;
  if (isLoopback(parseListen(listen).host)) return [];
  const haveAccounts = auth !== undefined || htpasswdFile !== undefined;
  return [
    haveAccounts || accessFile !== undefined
      ? []
      : "everybody who reaches this address may read and write; --htpasswd stops that",
    haveAccounts && tls === undefined
      ? "passwords come in without TLS; --tls-cert and --tls-key stop that"
      : [],
  ].flat();
}

function noteMetrics({ metricsUrl }: RegistryServer, note: (line: string) => void): void {
  if (metricsUrl !== undefined) note(`metrics and health are at ${metricsUrl}`);
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}
