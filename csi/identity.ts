import type { IdentityCalls } from "./rpc/messages.ts";
import type { Implementation } from "./rpc/server.ts";

export interface PluginName {
  /** As in the CSIDriver object. */
  readonly name: string;
  readonly version: string;
}

/** The Identity service of CSI. */
export function createIdentity({ name, version }: PluginName): Implementation<IdentityCalls> {
  return {
    GetPluginInfo: () => ({ name, vendor_version: version }),
    GetPluginCapabilities: () => ({ capabilities: [{ service: { type: "CONTROLLER_SERVICE" } }] }),
    // Nothing is served before all is ready.
    Probe: () => ({ ready: { value: true } }),
  };
}
