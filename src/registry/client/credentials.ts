import { homedir } from "node:os";
import { join } from "node:path";
import { ModelError } from "../../core/errors.ts";
import { type AuthFile, parseAuthFile, readAuthFile } from "./auth/auth-file.ts";
import { findAsKubelet } from "./auth/auth-keys.ts";
import type { Credential, CredentialSource } from "./auth/credential.ts";
import { askCredentialProgram } from "./auth/credential-program.ts";
import { credentialKey } from "./endpoint.ts";

/** Credentials that a caller has, rather than its surroundings. */
export type ExplicitCredential =
  | { readonly username: string; readonly password: string }
  | { readonly token: string }
  /**
   * Text of a Docker `config.json`, such as a Kubernetes secret holds. Only its `auths` count: programs
   * that it names are not run, and its keys mean what they mean to a kubelet (`findAsKubelet`). A host
   * that it does not name is reached anonymously.
   */
  | { readonly dockerConfigJson: string };

export interface CredentialSourceOptions {
  /** BALLAST_*, DOCKER_CONFIG, REGISTRY_AUTH_FILE, XDG_*, HOME; PATH for credential programs. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Read instead of Docker's and podman's own files. */
  readonly dockerConfigPath?: string | undefined;
  /** Used instead of everything else. */
  readonly explicit?: ExplicitCredential | undefined;
}

/**
 * Looks credentials up in this order: `explicit`, BALLAST_USERNAME with BALLAST_PASSWORD or
 * BALLAST_TOKEN, then for each of Docker's and podman's files `credHelpers`, `credsStore`, `auths`.
 * Files and programs are asked each time, so that what they renew is seen. The first two count for
 * every host; the text of a Docker config for those it names. Throws INVALID_ARGUMENT when that is
 * malformed or only half of a pair is set.
 */
export function createCredentialSource(options: CredentialSourceOptions): CredentialSource {
  const { explicit, environment } = options;
  if (explicit !== undefined) return explicitSource(explicit);
  const stated = environmentCredential(environment);
  return {
    async get(host, repository) {
      if (stated !== undefined) return stated;
      for (const path of authFilePaths(options)) {
        const file = await readAuthFile(path);
        const found = file && (await lookUp(file, host, repository, environment));
        if (found !== undefined) return found;
      }
      return undefined;
    },
  };
}

function explicitSource(explicit: ExplicitCredential): CredentialSource {
  if ("dockerConfigJson" in explicit) {
    const what = "the docker config of the secret";
    const text = Buffer.from(explicit.dockerConfigJson);
    const file = parseAuthFile(text, { what, origin: `from ${what}`, find: findAsKubelet });
    return { get: async (host, repository) => file.entry(host, repository) };
  }
  const credential =
    "token" in explicit
      ? registryToken(explicit.token, "from the command line")
      : password(explicit.username, explicit.password, "from the command line");
  return { get: async () => credential };
}

function environmentCredential(
  environment: CredentialSourceOptions["environment"],
): Credential | undefined {
  const username = environment["BALLAST_USERNAME"] || undefined;
  const secret = environment["BALLAST_PASSWORD"] || undefined;
  const token = environment["BALLAST_TOKEN"] || undefined;
  if ((username === undefined) !== (secret === undefined))
    throw new ModelError(
      "INVALID_ARGUMENT",
      username === undefined
        ? "BALLAST_PASSWORD is set without BALLAST_USERNAME"
        : "BALLAST_USERNAME is set without BALLAST_PASSWORD",
      { hint: "set both, or BALLAST_TOKEN" },
    );
  if (username !== undefined && secret !== undefined)
    return password(username, secret, "from BALLAST_USERNAME and BALLAST_PASSWORD");
  return token === undefined ? undefined : registryToken(token, "from BALLAST_TOKEN");
}

function password(username: string, secret: string, origin: string): Credential {
  return { kind: "password", username, password: secret, origin };
}

function registryToken(token: string, origin: string): Credential {
  return { kind: "registry-token", token, origin };
}

/** Docker's own file: the one that logins are written to. */
export function dockerConfigFile(environment: CredentialSourceOptions["environment"]): string {
  const folder = environment["DOCKER_CONFIG"] || join(homeOf(environment), ".docker");
  return join(folder, "config.json");
}

function homeOf(environment: CredentialSourceOptions["environment"]): string {
  return environment["HOME"] || homedir();
}

function authFilePaths({ dockerConfigPath, environment }: CredentialSourceOptions): string[] {
  if (dockerConfigPath !== undefined) return [dockerConfigPath];
  const home = homeOf(environment);
  const runtime = environment["XDG_RUNTIME_DIR"];
  const podman = environment["REGISTRY_AUTH_FILE"];
  return [
    dockerConfigFile(environment),
    ...(podman ? [podman] : []),
    ...(runtime ? [join(runtime, "containers", "auth.json")] : []),
    join(environment["XDG_CONFIG_HOME"] || join(home, ".config"), "containers", "auth.json"),
  ];
}

async function lookUp(
  file: AuthFile,
  host: string,
  repository: string | undefined,
  environment: CredentialSourceOptions["environment"],
): Promise<Credential | undefined> {
  const program = file.program(host, repository) ?? file.defaultProgram;
  if (program !== undefined) {
    const found = await askCredentialProgram(program, credentialKey(host), { environment });
    if (found !== undefined) return found;
  }
  return file.entry(host, repository);
}
