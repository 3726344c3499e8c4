import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type KeyPair, makeSelfSigned } from "./certificates.ts";
import { writeHtpasswd } from "./htpasswd.ts";
import { type ProgramProcess, startProgram } from "./program-process.ts";
import { toolPath } from "./programs.ts";
import { startTokenServer, type TokenServer } from "./token-server.ts";

const tokenService = "registry.example.com";
const tokenIssuer = "tokens.example.com";

export interface DistributionOptions {
  /** `v3` is distribution 3.0, `v2` Debian's docker-registry 2.8, which has no Referrers API. */
  readonly version: "v3" | "v2";
  /** Where blobs are kept; stays after the end. Without it a folder that goes with the registry. */
  readonly root?: string | undefined;
  /** Serves HTTPS, and the token endpoint too. */
  readonly tls?: KeyPair | undefined;
  /** Default `none`. */
  readonly auth?: "none" | "htpasswd" | "token" | undefined;
  /** Defaults `tester` and `secret`, where `auth` is not `none`. */
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** A file that gets a line for each request, in Apache's combined format. */
  readonly accessLog?: string | undefined;
}

/** The reference registry, running on 127.0.0.1. */
export interface Distribution extends AsyncDisposable {
  /** `127.0.0.1:port`, the host of references to it. */
  readonly address: string;
  readonly process: ProgramProcess;
  /** The token endpoint, where `auth` is `token`. */
  readonly tokens: TokenServer | undefined;
  /** What it wrote so far, one line per request. */
  logs(): string;
}

/** Starts the real program with deletion enabled; resolves once it listens. */
export async function startDistribution(options: DistributionOptions): Promise<Distribution> {
  await using cleanups = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), "ballast-registry-"));
  cleanups.defer(() => rm(folder, { recursive: true, force: true }));
  const root = options.root ?? join(folder, "root");
  await mkdir(root, { recursive: true });
  const { auth, tokens } = await makeAuth(options, folder);
  if (tokens !== undefined) cleanups.use(tokens);
  const config = join(folder, "config.yml");
  // JSON is YAML.
  await writeFile(config, JSON.stringify(makeConfig(root, options, auth)));
  const { process, match } = await startProgram(serveCommand(config, options), {
    env: { OTEL_TRACES_EXPORTER: "none" },
    ready: /listening on (127\.0\.0\.1:\d+)/,
    timeoutMs: 30_000,
  });
  cleanups.use(process);
  const owned = cleanups.move();
  return {
    address: match[1] ?? "",
    process,
    tokens,
    logs: () => process.logs(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The access log is all that the registry writes to standard output. */
function serveCommand(
  config: string,
  { version, accessLog }: DistributionOptions,
): [program: string, ...args: string[]] {
  const program = toolPath(version === "v3" ? "registry" : "docker-registry");
  if (accessLog === undefined) return [program, "serve", config];
  return ["sh", "-c", 'exec "$0" serve "$1" >"$2"', program, config, accessLog];
}

function makeConfig(
  root: string,
  { tls, accessLog }: DistributionOptions,
  auth: object | undefined,
): object {
  return {
    version: 0.1,
    // The port it got is only in its log, at this level.
    log: { level: "info", formatter: "text", accesslog: { disabled: accessLog === undefined } },
    storage: { filesystem: { rootdirectory: root }, delete: { enabled: true } },
    http: {
      addr: "127.0.0.1:0",
      secret: randomBytes(16).toString("hex"),
      ...(tls === undefined ? {} : { tls: { certificate: tls.certificateFile, key: tls.keyFile } }),
    },
    ...(auth === undefined ? {} : { auth }),
  };
}

async function makeAuth(
  options: DistributionOptions,
  folder: string,
): Promise<{ auth?: object; tokens?: TokenServer }> {
  const { auth = "none", username = "tester", password = "secret", tls } = options;
  if (auth === "none") return {};
  if (auth === "htpasswd") {
    const path = join(folder, "htpasswd");
    await writeHtpasswd(path, { [username]: password });
    return { auth: { htpasswd: { realm: "ballast test", path } } };
  }
  const signer = await makeSelfSigned(folder, "tokens");
  const who = { issuer: tokenIssuer, service: tokenService, username, password };
  const tokens = await startTokenServer({ signer, tls, ...who });
  const { realm } = tokens;
  const trust = { service: tokenService, issuer: tokenIssuer };
  return {
    auth: { token: { realm, ...trust, rootcertbundle: signer.certificateFile } },
    tokens,
  };
}
