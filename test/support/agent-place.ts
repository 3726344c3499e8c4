import { join } from "node:path";
import { type Agent, startAgent } from "../../src/agent/agent.ts";
import type { AcquireRequest, Subject } from "../../src/agent/api/documents.ts";
import { type CallerKind, socketPath } from "../../src/agent/api/routes.ts";
import { type AgentClient, createAgentClient } from "../../src/agent/client/client.ts";
import { type AgentConfig, defaultConfig } from "../../src/agent/config.ts";
import { digestHex, digestOf } from "../../src/core/digest.ts";
import { push } from "../../src/model/push.ts";
import { startRegistry } from "../../src/registry/server/server.ts";
import { makeTemporaryFolder, writeTree } from "./models.ts";
import { type RecordingProxy, startRecordingProxy } from "./recording-proxy.ts";
import { seededBytes } from "./workplace.ts";

/** What may log in to the registry of an `AgentPlace`. */
export const login = { username: "pod", password: "secret" } as const;

/** An agent in this process, and a registry behind a proxy that counts and can fail. */
export interface AgentPlace extends AsyncDisposable {
  readonly root: string;
  readonly run: string;
  readonly proxy: RecordingProxy;
  /** Lines of the agent's log, oldest first, over all restarts. */
  readonly log: Record<string, unknown>[];
  client(kind: CallerKind): AgentClient;
  /** A reference to `repository:tag` by way of the proxy. */
  ref(name: string): string;
  /** Pushes a model of two files, `bytes` in all and more. */
  push(name: string, bytes?: number): Promise<string>;
  /** What a pod asks for to mount this model. */
  volume(name: string, target: string, more?: Partial<AcquireRequest>): AcquireRequest;
  /** Ends the agent and starts another on what it left. */
  restart(config?: Partial<AgentConfig>): Promise<void>;
  stop(): Promise<void>;
  /** Cuts every connection to the registry from now on, or lets them through again. */
  cut(isCut: boolean): void;
  readonly agent: Agent;
  /** Starts a second one on the same folders. */
  startAnother(): Promise<Agent>;
}

/** Who asks, in tests: a pod of this namespace. */
export function podOf(namespace: string, pod = "server-0"): Subject {
  return { namespace, pod, uid: `uid-${namespace}-${pod}` };
}

/** Starts both. With `withLogin` the registry lets in only `login`. */
export async function openAgentPlace(
  options: {
    readonly withLogin?: boolean;
    /** The agent's, beside an empty home. */
    readonly environment?: Readonly<Record<string, string>>;
    /** With a mirror on a free port. */
    readonly withMirror?: boolean;
  } = {},
): Promise<AgentPlace> {
  await using resources = new AsyncDisposableStack();
  const folder = resources.use(await makeTemporaryFolder());
  const registry = resources.use(
    await startRegistry({
      root: join(folder.path, "registry"),
      limits: { closeGraceMs: 100 },
      auth: options.withLogin === true ? login : undefined,
    }),
  );
  const proxy = resources.use(await startRecordingProxy(registry.address));
  const [root, run] = [join(folder.path, "store"), join(folder.path, "run")];
  const log: Record<string, unknown>[] = [];
  const environment = { HOME: folder.path, ...options.environment };
  const start = (config: Partial<AgentConfig> = {}) =>
    startAgent({
      root,
      run,
      config: { ...defaultConfig(), ...config },
      environment,
      version: "0.0.0-test",
      peerListen: options.withMirror === true ? { host: "127.0.0.1", port: 0 } : undefined,
      write: (line) => void log.push(JSON.parse(line) as Record<string, unknown>),
    });
  let agent: Agent | undefined = await start();
  const stop = async () => {
    await agent?.[Symbol.asyncDispose]();
    agent = undefined;
  };
  resources.defer(stop);
  const owned = resources.move();
  return {
    root,
    run,
    proxy,
    log,
    get agent() {
      if (agent === undefined) throw new Error("the agent is stopped");
      return agent;
    },
    client: (kind) => createAgentClient(socketPath(run, kind)),
    ref: (name) => `${proxy.address}/${name}`,
    push: async (name, bytes = 3_000_000) => {
      const source = join(folder.path, "sources", name.replaceAll(/[^a-z0-9]/g, "-"));
      await writeTree(source, { "weights.bin": seededBytes(name, bytes), "config.json": "{}" });
      const reference = `${registry.address}/${name}`;
      const credentials = options.withLogin === true ? login : undefined;
      return (await push({ source, reference, credentials, base: false })).digest;
    },
    volume: (name, target, more = {}) => ({
      id: digestHex(digestOf(target)),
      reference: `${proxy.address}/${name}`,
      target,
      subject: podOf("default"),
      ...more,
    }),
    restart: async (config) => {
      await stop();
      agent = await start(config);
    },
    stop,
    startAnother: () => start(),
    cut: (isCut) => {
      proxy.target = isCut ? "127.0.0.1:1" : registry.address;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
