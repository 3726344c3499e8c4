import { readFile } from "node:fs/promises";
import { isRecord } from "../../../core/chunk-index.ts";
import { isModelError, ModelError, systemCode } from "../../../core/errors.ts";
import { parseJson } from "../../../core/json.ts";
import { type FindEntry, findAsDocker } from "./auth-keys.ts";
import type { Credential } from "./credential.ts";

/** A `config.json` of Docker or an `auth.json` of podman (containers-auth.json(5)). */
export interface AuthFile {
  /** The credential program (`credHelpers`) that is configured for a host. */
  program(host: string, repository?: string): string | undefined;
  /** The credential program for all hosts (`credsStore`). */
  readonly defaultProgram: string | undefined;
  /** What `auths` holds for a repository of a host. */
  entry(host: string, repository?: string): Credential | undefined;
}

const maxFileBytes = 4_194_304;

/** Reads an auth file; undefined when there is none. Rejects with INVALID_ARGUMENT naming the file. */
export async function readAuthFile(path: string): Promise<AuthFile | undefined> {
  const what = `credentials file ${path}`;
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    const code = systemCode(error);
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new ModelError(
      "INVALID_ARGUMENT",
      `${what}: cannot be read (${code ?? "unknown error"})`,
      {
        cause: error,
      },
    );
  }
  return parseAuthFile(bytes, { what, origin: `from ${path}`, find: findAsDocker });
}

/**
 * Reads what is in an auth file. It and its `entry` throw INVALID_ARGUMENT that names `what` and shows
 * nothing of the content. `origin` is where its credentials say they are from, `find` how keys are read.
 */
export function parseAuthFile(
  bytes: Uint8Array,
  {
    what,
    origin,
    find,
  }: { readonly what: string; readonly origin: string; readonly find: FindEntry },
): AuthFile {
  const refuse = (why: string) => new ModelError("INVALID_ARGUMENT", `${what}: ${why}`);
  const root = parseDocument(bytes, what);
  if (!isRecord(root)) throw refuse("is not a JSON object");
  const auths = section(root["auths"], () => refuse("auths is not an object"));
  const programs = section(root["credHelpers"], () => refuse("credHelpers is not an object"));
  const store = root["credsStore"];
  return {
    defaultProgram: typeof store === "string" && store !== "" ? store : undefined,
    program(host, repository) {
      const name = find(programs, host, repository);
      return typeof name === "string" && name !== "" ? name : undefined;
    },
    entry(host, repository) {
      const value = find(auths, host, repository);
      if (!isRecord(value)) return undefined;
      return readEntry(value, origin, () => refuse(`auth for ${host} is malformed`));
    },
  };
}

function parseDocument(bytes: Uint8Array, what: string): unknown {
  try {
    return parseJson(bytes, { maxBytes: maxFileBytes, what, code: "INVALID_ARGUMENT" });
  } catch (error) {
    if (!isModelError(error)) throw error;
    throw new ModelError(error.code, error.message); // Without the cause: that would quote the file.
  }
}

function section(raw: unknown, refuse: () => ModelError): Record<string, unknown> {
  if (raw === undefined || raw === null) return {};
  if (!isRecord(raw)) throw refuse();
  return raw;
}

function readEntry(
  entry: Record<string, unknown>,
  origin: string,
  refuse: () => ModelError,
): Credential | undefined {
  const text = (name: string) => {
    const value = entry[name];
    return typeof value === "string" && value !== "" ? value : undefined;
  };
  const identity = text("identitytoken");
  if (identity !== undefined) return { kind: "identity-token", token: identity, origin };
  const registry = text("registrytoken");
  if (registry !== undefined) return { kind: "registry-token", token: registry, origin };
  const auth = text("auth");
  if (auth !== undefined) return readAuth(auth, origin, refuse);
  const [username, password] = [text("username"), text("password")];
  if (username === undefined || password === undefined) return undefined;
  return { kind: "password", username, password, origin };
}

function readAuth(auth: string, origin: string, refuse: () => ModelError): Credential {
  const decoded = Buffer.from(auth, "base64").toString("utf8");
  const colon = decoded.indexOf(":");
  if (!/^[A-Za-z0-9+/=_-]+\s*$/.test(auth) || colon < 1) throw refuse();
  const username = decoded.slice(0, colon);
  // Docker pads the password with NUL bytes in some versions and strips them when reading.
  const password = decoded.slice(colon + 1).replace(/\0+$/, "");
  return { kind: "password", username, password, origin };
}
