import { basename, dirname, join } from "node:path";
import { status } from "@grpc/grpc-js";
import { createAgentClient } from "../src/agent/client/client.ts";
import { createKeyedMutex } from "../src/core/keyed-mutex.ts";
import { ownNamespace } from "../src/mount/mount-namespace.ts";
import { isBelow } from "../src/mount/open-folder.ts";
import { clearScratch } from "../src/mount/private-mount.ts";
import { createController } from "./controller.ts";
import { openCreatedVolumes } from "./created-volumes.ts";
import { type HealthAddress, type HealthServer, serveHealth } from "./health.ts";
import { createIdentity } from "./identity.ts";
import { describeForLog, type Log } from "./log.ts";
import { createNode } from "./node.ts";
import { register } from "./registration.ts";
import type { PodPolicy } from "./request/subject.ts";
import { createRpcServer } from "./rpc/server.ts";
import { controllerService, identityService, nodeService } from "./rpc/services.ts";
import { describeStatus } from "./status.ts";
import { openTargetNamespace } from "./target-namespace.ts";
import { defaultPatience, type Patience, type VolumeContext } from "./volume/context.ts";
import { createInterrupts } from "./volume/interrupts.ts";
import { createUpkeep } from "./volume/upkeep.ts";
import { startUpkeepLoop } from "./volume/upkeep-loop.ts";
import { openVolumeStates } from "./volume/volume-states.ts";

export interface PluginOptions {
  /** Where to serve CSI. */
  readonly endpoint: string;
  /**
   * Where the kubelet finds that. Default: the endpoint where it is below the kubelet's root, else, as
   * in a container, the same file in `<kubelet root>/plugins/<driver name>`.
   */
  readonly kubeletEndpoint?: string | undefined;
  readonly agentSocket: string;
  readonly nodeId: string;
  readonly kubeletRoot: string;
  readonly driverName: string;
  /**
   * A file of /proc that names the mount namespace in which the kubelet's folder is, such as
   * `/proc/1/ns/mnt`. Default: the plugin's own.
   */
  readonly mountNamespace?: string | undefined;
  readonly version: string;
  /** Default: the folder `state` beside the endpoint. */
  readonly stateFolder?: string | undefined;
  /** Trees are mounted from below it only; default anywhere. */
  readonly storeRoot?: string | undefined;
  readonly health?: HealthAddress | undefined;
  /** Default: required. */
  readonly pods?: PodPolicy | undefined;
  readonly patience?: Partial<Patience> | undefined;
  readonly log: Log;
}

/** A plugin that serves. Disposing answers the calls that are held and leaves every mount as it is. */
export interface Plugin extends AsyncDisposable {
  readonly healthPort: number | undefined;
}

/**
 * Starts the plugin: CSI first, then liveness, then the registration, for a kubelet calls as soon as it
 * knows of it. Rejects where a socket or the state folder cannot be made; an agent need not be there.
 */
export async function startPlugin(options: PluginOptions): Promise<Plugin> {
  const { endpoint, kubeletRoot, driverName, log, version } = options;
  const stateFolder = options.stateFolder ?? join(dirname(endpoint), "state");
  await using owned = new AsyncDisposableStack();
  const states = await openVolumeStates(join(stateFolder, "volumes"));
  let namespace = ownNamespace;
  if (options.mountNamespace !== undefined)
    namespace = owned.use(
      await openTargetNamespace(options.mountNamespace, { kubeletRoot, stateFolder }),
    );
  const context: VolumeContext = {
    agent: createAgentClient(options.agentSocket),
    states,
    kubeletRoot,
    namespace,
    storeRoot: options.storeRoot ?? "/",
    scratch: join(stateFolder, "mounting"),
    pods: options.pods ?? "required",
    patience: { ...defaultPatience, ...options.patience },
    log,
    changes: createKeyedMutex(),
    interrupts: createInterrupts(),
    answered: new Set(),
    onPending: () => upkeep.poke(),
  };
  await clearScratch(context.scratch);
  const upkeep = owned.use(startUpkeepLoop(createUpkeep(context), context));
  const server = owned.use(
    createRpcServer((error, call) => {
      const answer = describeStatus(error);
      const details = answer.code === status.INTERNAL ? describeForLog(error) : answer.details;
      log("call-failed", { call, code: answer.code, details });
      return answer;
    }),
  );
  server.add(identityService, createIdentity({ name: driverName, version }));
  server.add(nodeService, createNode(context, options.nodeId));
  const created = await openCreatedVolumes(join(stateFolder, "created"));
  server.add(controllerService, createController(created));
  await server.listen(endpoint);
  let health: HealthServer | undefined;
  if (options.health !== undefined) health = owned.use(await serveHealth(options.health, endpoint));
  const folder = join(kubeletRoot, "plugins_registry");
  const known = isBelow(kubeletRoot, endpoint)
    ? endpoint
    : join(kubeletRoot, "plugins", driverName, basename(endpoint));
  const kubeletEndpoint = options.kubeletEndpoint ?? known;
  owned.use(await register({ folder, name: driverName, endpoint: kubeletEndpoint, log }));
  const kept = owned.move();
  return { healthPort: health?.port, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}
