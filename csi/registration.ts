import { describeForLog, type Log } from "./log.ts";
import { createRpcServer, type RpcServer } from "./rpc/server.ts";
import { registrationService } from "./rpc/services.ts";
import { describeStatus } from "./status.ts";

export interface RegistrationOptions {
  /** The kubelet's `plugins_registry` folder. */
  readonly folder: string;
  readonly name: string;
  /** Where the kubelet finds the CSI socket: a path of the host. */
  readonly endpoint: string;
  readonly log: Log;
}

/** Offers the plugin to the kubelet. Disposing takes it off the node's list of drivers. */
export async function register(options: RegistrationOptions): Promise<RpcServer> {
  const { folder, name, endpoint, log } = options;
  const server = createRpcServer((error, call) => {
    log("call-failed", { call, why: describeForLog(error) });
    return describeStatus(error);
  });
  server.add(registrationService, {
    GetInfo: () => ({ type: "CSIPlugin", name, endpoint, supported_versions: ["1.0.0"] }),
    NotifyRegistrationStatus: ({ plugin_registered, error }) => {
      if (plugin_registered) log("registered", { name });
      else log("registration-refused", { name, why: error });
      return {};
    },
  });
  await server.listen(`${folder}/${name}-reg.sock`);
  return server;
}
