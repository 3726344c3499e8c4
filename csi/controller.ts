import { status } from "@grpc/grpc-js";
import { isModelError, ModelError } from "../src/core/errors.ts";
import { ownAttributes, parseAttributes } from "../src/core/volume-attributes.ts";
import type { CreatedVolumes } from "./created-volumes.ts";
import { checkCapabilities } from "./request/capability.ts";
import type {
  ControllerCalls,
  CreateVolumeRequest,
  StringMap,
  ValidateVolumeCapabilitiesRequest,
  ValidateVolumeCapabilitiesResponse,
  Volume,
} from "./rpc/messages.ts";
import type { Implementation } from "./rpc/server.ts";
import { StatusError } from "./status.ts";

/** The longest name that CSI has. */
const maxNameBytes = 128;

/**
 * The Controller service of CSI. A created volume is a name for checked parameters: no bytes are taken
 * anywhere before a pod mounts it, and deleting it deletes no model.
 */
export function createController(volumes: CreatedVolumes): Implementation<ControllerCalls> {
  return {
    CreateVolume: async (request) => ({ volume: await createVolume(volumes, request) }),
    DeleteVolume: async ({ volume_id }) => {
      requireId(volume_id);
      await volumes.remove(volume_id);
      return {};
    },
    ValidateVolumeCapabilities: (request) => validate(volumes, request),
    ControllerGetCapabilities: () => ({
      capabilities: [{ rpc: { type: "CREATE_DELETE_VOLUME" } }],
    }),
  };
}

async function createVolume(
  volumes: CreatedVolumes,
  request: CreateVolumeRequest,
): Promise<Volume> {
  const { name, capacity_range, volume_capabilities, volume_content_source } = request;
  if (name === "" || Buffer.byteLength(name) > maxNameBytes)
    throw new ModelError("INVALID_ARGUMENT", `a volume's name has 1 to ${maxNameBytes} bytes`);
  checkCapabilities(volume_capabilities);
  if (volume_content_source !== null)
    throw new ModelError("INVALID_ARGUMENT", "a model is no copy of another volume", {
      hint: "leave dataSource out",
    });
  const parameters = contextOf(request.parameters);
  const id = await volumes.create({
    name,
    parameters,
    requiredBytes: capacity_range?.required_bytes ?? 0,
    limitBytes: capacity_range?.limit_bytes ?? 0,
  });
  if (id === undefined)
    throw new StatusError(
      status.ALREADY_EXISTS,
      `${name} exists with other parameters or capacity`,
    );
  // Nobody knows how large a model is before it is resolved with the pod's own credential.
  return { capacity_bytes: 0, volume_id: id, volume_context: parameters };
}

/** The parameters, checked and in one order: they are the volume's attributes. */
function contextOf(parameters: StringMap): Record<string, string> {
  parseAttributes(parameters);
  const own = Object.entries(ownAttributes(parameters));
  return Object.fromEntries(own.sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function validate(
  volumes: CreatedVolumes,
  request: ValidateVolumeCapabilitiesRequest,
): Promise<ValidateVolumeCapabilitiesResponse> {
  const { volume_id, volume_context, volume_capabilities, parameters } = request;
  requireId(volume_id);
  if (volume_capabilities.length === 0)
    throw new ModelError("INVALID_ARGUMENT", "the call names no volume capability");
  if ((await volumes.find(volume_id)) === undefined)
    throw new ModelError("NOT_FOUND", "there is no volume with this id");
  try {
    checkCapabilities(volume_capabilities);
  } catch (error) {
    if (!isModelError(error, "INVALID_ARGUMENT")) throw error;
    return { message: error.message };
  }
  return { confirmed: { volume_context, volume_capabilities, parameters } };
}

function requireId(id: string): void {
  if (id === "") throw new ModelError("INVALID_ARGUMENT", "the call names no volume id");
}
