import { watch } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { createRpcClient } from "../../csi/rpc/client.ts";
import { nodeService, registrationService } from "../../csi/rpc/services.ts";
import { createCondition } from "../../src/core/condition.ts";

/** A plugin that a kubelet knows. */
interface Driver {
  readonly name: string;
  readonly endpoint: string;
  readonly nodeId: string;
  /** How many registrations of this name went before. */
  readonly generation: number;
}

/** The plugins whose sockets are in `plugins_registry`. */
export interface KubeletDrivers extends AsyncDisposable {
  readonly names: readonly string[];
  /** What went wrong with registrations. */
  readonly failures: string[];
  /** Every name of a socket that was looked at. */
  readonly seen: readonly string[];
  get(name: string): Driver | undefined;
  /** Resolves when a plugin is registered, in its `generation` or a later one. */
  find(name: string, generation?: number): Promise<Driver>;
  /** Resolves when it is registered no more. */
  gone(name: string): Promise<void>;
}

const infoMs = 1000;
const notifyMs = 5000;

/** Watches the folder: asks each new socket as a kubelet does, and forgets those that are gone. */
export function watchDrivers(folder: string): KubeletDrivers {
  const change = createCondition();
  /** By file name: which socket it was, and whose. */
  const sockets = new Map<string, { readonly identity: string; driver: Driver | undefined }>();
  const generations = new Map<string, number>();
  const failures: string[] = [];
  const seen: string[] = [];

  async function scan(): Promise<void> {
    const found = new Map<string, string>();
    for (const name of await readdir(folder)) {
      const stats = await lstat(join(folder, name)).catch(() => undefined);
      // A kubelet passes names with a dot over, and takes any other socket for a plugin.
      if (name.startsWith(".") || stats === undefined || !stats.isSocket()) continue;
      found.set(name, `${stats.ino} ${stats.birthtimeMs}`);
    }
    for (const [name, { identity }] of sockets)
      if (found.get(name) !== identity) sockets.delete(name);
    change.notify();
    for (const [name, identity] of found) if (!sockets.has(name)) await register(name, identity);
  }

  async function register(name: string, identity: string): Promise<void> {
    const entry: { identity: string; driver: Driver | undefined } = { identity, driver: undefined };
    sockets.set(name, entry);
    seen.push(name);
    using client = createRpcClient(registrationService, join(folder, name));
    try {
      const plugin = await client.call("GetInfo", {}, { timeoutMs: infoMs });
      if (plugin.type !== "CSIPlugin" || !plugin.supported_versions.includes("1.0.0"))
        throw new Error(`no CSI plugin: ${JSON.stringify(plugin)}`);
      using node = createRpcClient(nodeService, plugin.endpoint);
      const { node_id } = await node.call("NodeGetInfo", {}, { timeoutMs: notifyMs });
      const registered = { plugin_registered: true, error: "" };
      await client.call("NotifyRegistrationStatus", registered, { timeoutMs: notifyMs });
      const generation = generations.get(plugin.name) ?? 0;
      generations.set(plugin.name, generation + 1);
      const { endpoint } = plugin;
      entry.driver = { name: plugin.name, endpoint, nodeId: node_id, generation };
    } catch (error) {
      failures.push(`${name}: ${String(error)}`);
    }
    change.notify();
  }

  // One look at a time, another for each change.
  let looking = scan();
  const look = () => {
    looking = looking.then(scan);
  };
  const watcher = watch(folder, look);
  look();
  const registered = (name: string) =>
    [...sockets.values()].find(({ driver }) => driver?.name === name)?.driver;
  return {
    get names() {
      return [...sockets.values()].flatMap(({ driver }) => driver?.name ?? []);
    },
    failures,
    seen,
    get: registered,
    find: (name, generation = 0) =>
      change.until(() => {
        const driver = registered(name);
        return driver !== undefined && driver.generation >= generation ? driver : undefined;
      }),
    gone: async (name) => {
      await change.until(() => (registered(name) === undefined ? true : undefined));
    },
    async [Symbol.asyncDispose]() {
      watcher.close();
      await looking;
    },
  };
}
