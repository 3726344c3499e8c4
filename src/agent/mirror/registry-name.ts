import { isModelError } from "../../core/errors.ts";
import type { RegistryReference } from "../../core/reference.ts";
import type { Reach } from "../../model/reach.ts";
import { registryOrigin } from "../../registry/client/endpoint.ts";
import { ProtocolError } from "../../registry/server/errors.ts";
import type { Asked } from "./asked.ts";
import { isOwnAddress } from "./own-address.ts";

/**
 * The repository that is asked for. Throws 403 DENIED where the operator does not allow its registry,
 * or where that is the mirror at `ownAddress` itself; 404 NAME_UNKNOWN where the host is no registry's.
 */
export function nameRepository(
  { host, repository }: Pick<Asked, "host" | "repository">,
  { reach, ownAddress }: { readonly reach: Reach; readonly ownAddress: string },
): RegistryReference {
  const reference = parse(reach, host, repository);
  const asked = { reference, subject: undefined, credential: undefined };
  const { plainHttp } = reach.connectionFor(asked);
  if (!isOwnAddress(registryOrigin(host, plainHttp), ownAddress)) return reference;
  throw denied(`${host} is this mirror itself and no registry`);
}

function parse(reach: Reach, host: string, repository: string): RegistryReference {
  try {
    return reach.parse(`${host}/${repository}`);
  } catch (error) {
    if (isModelError(error, "FORBIDDEN")) throw denied(error.message);
    if (!isModelError(error, "INVALID_REFERENCE")) throw error;
    const shown = JSON.stringify(host.slice(0, 200));
    throw new ProtocolError(404, {
      code: "NAME_UNKNOWN",
      message: `${shown} is no registry: say /v2/<host>/<repository>/..., or ?ns=<host>`,
    });
  }
}

function denied(message: string): ProtocolError {
  return new ProtocolError(403, { code: "DENIED", message });
}
