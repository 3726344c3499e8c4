import { isModelError, ModelError } from "../core/errors.ts";
import type { RunOptions } from "../core/progress.ts";
import type { ConnectionOptions } from "./connection.ts";
import { describeFailure } from "./failure.ts";

export interface LoginOptions extends RunOptions, Omit<ConnectionOptions, "credentials"> {
  /** `host[:port]`. */
  readonly host: string;
  readonly username: string;
  readonly password: string;
}

export interface LoginResult {
  readonly host: string;
  readonly username: string;
  /** Whether the registry let the login in; false where it asks for none. */
  readonly verified: boolean;
  /** Docker's `config.json`. */
  readonly file: string;
  /** The credential program that keeps the password; undefined where the file does, in base64. */
  readonly program: string | undefined;
}

/**
 * Tries a login at its registry and keeps it where docker would: in `config.json`, or in the credential
 * program that this names. Nothing is written unless the registry lets it in. Rejects with UNAUTHORIZED,
 * which names the side that refused, INVALID_ARGUMENT, REGISTRY_UNAVAILABLE or STORE_IO.
 */
export async function login(options: LoginOptions): Promise<LoginResult> {
  const { host, username, password, environment = {}, signal } = options;
  try {
    checkHost(host);
    checkLogin(username, password);
    const files = await import("../registry/client/auth/login-file.ts");
    const { dockerConfigFile } = await import("../registry/client/credentials.ts");
    const { verifyLogin } = await import("../registry/client/login.ts");
    const file = dockerConfigFile(environment);
    const name = await files.credentialProgramFor(file, host);
    const asked = { username, password };
    const verified = await verifyLogin({ ...options, environment, login: asked });
    if (name !== undefined) {
      const { storeInCredentialProgram } = await import(
        "../registry/client/auth/credential-program.ts"
      );
      const { credentialKey } = await import("../registry/client/endpoint.ts");
      const server = credentialKey(host);
      await storeInCredentialProgram(name, { server, ...asked }, { environment });
    }
    await files.writeLogin(
      file,
      { host, login: name === undefined ? asked : undefined },
      { signal },
    );
    return { host, username, verified, file, program: programName(name) };
  } catch (error) {
    throw describeFailure(error, "login", signal);
  }
}

export interface LogoutOptions extends RunOptions, Pick<ConnectionOptions, "environment"> {
  /** `host[:port]`. */
  readonly host: string;
}

export interface LogoutResult {
  readonly host: string;
  /** Docker's `config.json`. */
  readonly file: string;
  /** Whether the file had an entry for the host. */
  readonly removed: boolean;
  /** The credential program that was told to forget the login. */
  readonly program: string | undefined;
  /** Where a login for the host is still found, which this call does not touch. */
  readonly remaining: string | undefined;
}

/** Forgets what `login` keeps; a login that is not there is none to forget. Rejects likewise. */
export async function logout(options: LogoutOptions): Promise<LogoutResult> {
  const { host, environment = {}, signal } = options;
  try {
    checkHost(host);
    const files = await import("../registry/client/auth/login-file.ts");
    const { dockerConfigFile } = await import("../registry/client/credentials.ts");
    const file = dockerConfigFile(environment);
    const name = await files.credentialProgramFor(file, host);
    if (name !== undefined) {
      const { eraseFromCredentialProgram } = await import(
        "../registry/client/auth/credential-program.ts"
      );
      const { credentialKey } = await import("../registry/client/endpoint.ts");
      await eraseFromCredentialProgram(name, credentialKey(host), { environment });
    }
    const removed = await files.removeLogin(file, host, { signal });
    const remaining = await findRemaining(host, environment);
    return { host, file, removed, program: programName(name), remaining };
  } catch (error) {
    throw describeFailure(error, "logout", signal);
  }
}

/** The logout is done by then: a program or file that fails now does not undo it. */
async function findRemaining(
  host: string,
  environment: NonNullable<LogoutOptions["environment"]>,
): Promise<string | undefined> {
  const { createCredentialSource } = await import("../registry/client/credentials.ts");
  try {
    return (await createCredentialSource({ environment }).get(host))?.origin;
  } catch (error) {
    if (!isModelError(error)) throw error;
    return undefined;
  }
}

function programName(name: string | undefined): string | undefined {
  return name === undefined ? undefined : `docker-credential-${name}`;
}

function checkHost(host: string): void {
  if (/^(?:[a-z\d](?:[a-z\d.-]*[a-z\d])?|\[[\da-f:.]+\])(?::\d{1,5})?$/i.test(host)) return;
  // What has an @ may have a password before it.
  const shown = host.includes("@") ? "this" : JSON.stringify(host.slice(0, 200));
  throw new ModelError("INVALID_ARGUMENT", `${shown} is no registry host`, {
    hint: "say host[:port] alone, without https:// and without a repository",
  });
}

function checkLogin(username: string, password: string): void {
  if (username === "" || password === "")
    throw new ModelError("INVALID_ARGUMENT", "a login needs a user name and a password");
  if (/[:\p{Cc}]/u.test(username))
    throw new ModelError("INVALID_ARGUMENT", "a user name has no colon and no control character");
  if (password.includes("\0"))
    throw new ModelError("INVALID_ARGUMENT", "the password has a NUL character");
}
