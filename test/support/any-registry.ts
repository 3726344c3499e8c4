import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { startRegistry } from "../../src/registry/server/server.ts";
import type { KeyPair } from "./certificates.ts";
import { startProgram } from "./program-process.ts";
import { startDistribution } from "./real-registries.ts";
import { listBlobs, listEmbeddedBlobs } from "./registry-disk.ts";
import type { TokenServer } from "./token-server.ts";

/** distribution 3, Debian's docker-registry 2.8, and the registry that comes with Ballast. */
export type RegistryKind = "v3" | "v2" | "embedded";

export interface AnyRegistryOptions {
  readonly kind: RegistryKind;
  /** Where blobs are kept; stays after the end. */
  readonly root: string;
  readonly tls?: KeyPair | undefined;
  /** Default `none`. The embedded registry has no tokens. */
  readonly auth?: "none" | "htpasswd" | "token" | undefined;
}

/** Who gets in where there is `auth`. */
export const login = { username: "tester", password: "secret" };

export interface AnyRegistry extends AsyncDisposable {
  readonly address: string;
  readonly tokens: TokenServer | undefined;
  /** Blobs of a repository and their sizes, from the registry's own files. */
  blobs(repository: string): Promise<Map<string, number>>;
}

/** Starts any of the registries on 127.0.0.1. */
export async function startAnyRegistry(options: AnyRegistryOptions): Promise<AnyRegistry> {
  const { kind, root, tls, auth = "none" } = options;
  if (kind !== "embedded") {
    const registry = await startDistribution({ version: kind, root, tls, auth, ...login });
    return {
      address: registry.address,
      tokens: registry.tokens,
      blobs: (repository) => listBlobs(root, repository),
      [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose](),
    };
  }
  if (auth === "token") throw new Error("the embedded registry has no tokens");
  await mkdir(root, { recursive: true });
  const registry = await startRegistry({
    root,
    tls: tls === undefined ? undefined : { key: tls.key, cert: tls.certificate },
    auth: auth === "none" ? undefined : login,
  });
  return {
    address: registry.address,
    tokens: undefined,
    blobs: (repository) => listEmbeddedBlobs(root, repository),
    [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose](),
  };
}

/** A registry in a process of its own that a test can kill. */
export interface KillableRegistry extends AsyncDisposable {
  readonly address: string;
  blobs(repository: string): Promise<Map<string, number>>;
  /** SIGKILL; resolves when the process is gone. */
  kill(): Promise<void>;
}

/** Starts any of the registries, open to all, as a process. */
export async function startKillable(kind: RegistryKind, root: string): Promise<KillableRegistry> {
  if (kind !== "embedded") {
    const registry = await startDistribution({ version: kind, root });
    return {
      address: registry.address,
      blobs: (repository) => listBlobs(root, repository),
      kill: () => registry.process.kill(),
      [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose](),
    };
  }
  await mkdir(root, { recursive: true });
  const script = join(import.meta.dirname, "child-registry-server.ts");
  const { process: child, match } = await startProgram([process.execPath, script, root], {
    ready: /(127\.0\.0\.1:\d+)/,
    timeoutMs: 30_000,
  });
  return {
    address: match[1] ?? "",
    blobs: (repository) => listEmbeddedBlobs(root, repository),
    kill: () => child.kill(),
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}
