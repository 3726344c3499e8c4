import type { NodeCalls } from "./rpc/messages.ts";
import type { Implementation } from "./rpc/server.ts";
import type { VolumeContext } from "./volume/context.ts";
import { publishVolume } from "./volume/publish.ts";
import { unpublishVolume } from "./volume/unpublish.ts";
import { measureVolume } from "./volume/usage.ts";

/** The Node service of CSI, for the node that is named. */
export function createNode(context: VolumeContext, nodeId: string): Implementation<NodeCalls> {
  return {
    NodePublishVolume: async (request, call) => {
      await publishVolume(context, request, call);
      return {};
    },
    NodeUnpublishVolume: async (request) => {
      await unpublishVolume(context, request);
      return {};
    },
    NodeGetVolumeStats: async (request) => ({ usage: await measureVolume(context, request) }),
    NodeGetCapabilities: () => ({ capabilities: [{ rpc: { type: "GET_VOLUME_STATS" } }] }),
    // A kubelet would write a topology into the labels of its node; models have their own labels.
    NodeGetInfo: () => ({ node_id: nodeId }),
  };
}
