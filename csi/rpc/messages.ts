/** Messages as they come off the wire: what the sender left out is empty, absent messages are null. */
export type StringMap = Readonly<Record<string, string>>;
type Empty = Readonly<Record<never, never>>;

export type AccessMode =
  | "UNKNOWN"
  | "SINGLE_NODE_WRITER"
  | "SINGLE_NODE_READER_ONLY"
  | "MULTI_NODE_READER_ONLY"
  | "MULTI_NODE_SINGLE_WRITER"
  | "MULTI_NODE_MULTI_WRITER"
  | "SINGLE_NODE_SINGLE_WRITER"
  | "SINGLE_NODE_MULTI_WRITER";

export interface VolumeCapability {
  readonly block?: Empty | null | undefined;
  readonly mount?:
    | { readonly fs_type?: string; readonly mount_flags?: readonly string[] }
    | null
    | undefined;
  readonly access_mode: { readonly mode: AccessMode } | null;
}

export interface NodePublishVolumeRequest {
  readonly volume_id: string;
  readonly target_path: string;
  readonly volume_capability: VolumeCapability | null;
  readonly readonly: boolean;
  /** Never logged, never kept. */
  readonly secrets: StringMap;
  readonly volume_context: StringMap;
}

export interface NodeUnpublishVolumeRequest {
  readonly volume_id: string;
  readonly target_path: string;
}

export interface NodeGetVolumeStatsRequest {
  readonly volume_id: string;
  readonly volume_path: string;
}

export interface VolumeUsage {
  readonly unit: "BYTES" | "INODES";
  readonly total: number;
  readonly used: number;
  readonly available: number;
}

interface CapacityRange {
  readonly required_bytes: number;
  readonly limit_bytes: number;
}

export interface CreateVolumeRequest {
  readonly name: string;
  readonly capacity_range: CapacityRange | null;
  readonly volume_capabilities: readonly VolumeCapability[];
  readonly parameters: StringMap;
  readonly volume_content_source: object | null;
}

export interface Volume {
  readonly capacity_bytes: number;
  readonly volume_id: string;
  readonly volume_context: StringMap;
}

export interface ValidateVolumeCapabilitiesRequest {
  readonly volume_id: string;
  readonly volume_context: StringMap;
  readonly volume_capabilities: readonly VolumeCapability[];
  readonly parameters: StringMap;
}

export interface ValidateVolumeCapabilitiesResponse {
  readonly confirmed?: Omit<ValidateVolumeCapabilitiesRequest, "volume_id"> | null | undefined;
  readonly message?: string | undefined;
}

/** What a capability of the node or the controller names, by `rpc.type`. */
interface Capabilities {
  readonly capabilities: readonly { readonly rpc: { readonly type: string } }[];
}

/** The calls of a service, each with what it takes and gives. */
export interface IdentityCalls {
  GetPluginInfo: [Empty, { readonly name: string; readonly vendor_version: string }];
  GetPluginCapabilities: [
    Empty,
    { readonly capabilities: readonly { readonly service: { readonly type: string } }[] },
  ];
  Probe: [Empty, { readonly ready: { readonly value: boolean } | null }];
}

export interface NodeCalls {
  NodePublishVolume: [NodePublishVolumeRequest, Empty];
  NodeUnpublishVolume: [NodeUnpublishVolumeRequest, Empty];
  NodeGetVolumeStats: [NodeGetVolumeStatsRequest, { readonly usage: readonly VolumeUsage[] }];
  NodeGetCapabilities: [Empty, Capabilities];
  NodeGetInfo: [Empty, { readonly node_id: string; readonly max_volumes_per_node?: number }];
}

export interface ControllerCalls {
  CreateVolume: [CreateVolumeRequest, { readonly volume: Volume }];
  DeleteVolume: [{ readonly volume_id: string }, Empty];
  ValidateVolumeCapabilities: [
    ValidateVolumeCapabilitiesRequest,
    ValidateVolumeCapabilitiesResponse,
  ];
  ControllerGetCapabilities: [Empty, Capabilities];
}

export interface RegistrationCalls {
  GetInfo: [
    Empty,
    {
      readonly type: string;
      readonly name: string;
      readonly endpoint: string;
      readonly supported_versions: readonly string[];
    },
  ];
  NotifyRegistrationStatus: [
    { readonly plugin_registered: boolean; readonly error: string },
    Empty,
  ];
}
