import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";
import protobuf from "protobufjs";
import { csiProto } from "./csi-proto.ts";
import type { ControllerCalls, IdentityCalls, NodeCalls, RegistrationCalls } from "./messages.ts";
import { registrationProto } from "./registration-proto.ts";

declare const callsBrand: unique symbol;

/** A service with the types of its calls, for a server and for a client. */
export interface RpcService<Calls> {
  readonly definition: ServiceDefinition;
  /** Only a type: which calls these are. */
  readonly [callsBrand]?: Calls;
}

export const identityService: RpcService<IdentityCalls> = defineService(csiProto, "Identity");
export const nodeService: RpcService<NodeCalls> = defineService(csiProto, "Node");
export const controllerService: RpcService<ControllerCalls> = defineService(csiProto, "Controller");
export const registrationService: RpcService<RegistrationCalls> = defineService(
  registrationProto,
  "Registration",
);

function defineService<Calls>(proto: string, name: string): RpcService<Calls> {
  const { root, package: packageName } = protobuf.parse(proto, { keepCase: true });
  const service = root.resolveAll().lookupService(`${packageName}.${name}`);
  const methods = service.methodsArray.map((method) => {
    const path = `/${packageName}.${name}/${method.name}`;
    return [method.name, defineMethod(path, method)] as const;
  });
  return { definition: Object.fromEntries(methods) };
}

function defineMethod(path: string, method: protobuf.Method): MethodDefinition<object, object> {
  const request = codec(method.resolvedRequestType);
  const response = codec(method.resolvedResponseType);
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: request.write,
    requestDeserialize: request.read,
    responseSerialize: response.write,
    responseDeserialize: response.read,
    originalName: method.name,
  };
}

function codec(type: protobuf.Type | null): {
  readonly write: (message: object) => Buffer;
  readonly read: (bytes: Buffer) => object;
} {
  if (type === null) throw new Error("a call names a message that is not there");
  return {
    write: (message) => Buffer.from(type.encode(type.fromObject(message)).finish()),
    read: (bytes) =>
      type.toObject(type.decode(bytes), { defaults: true, longs: Number, enums: String }),
  };
}
