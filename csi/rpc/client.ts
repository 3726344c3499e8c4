import { Client, credentials, Metadata, type MethodDefinition } from "@grpc/grpc-js";
import type { Abortable } from "../../src/core/progress.ts";
import type { RpcService } from "./services.ts";

interface CallOptions extends Abortable {
  readonly timeoutMs: number;
}

/** Calls one service at one unix socket. Connects at the first call. */
export interface RpcClient<Calls> extends Disposable {
  /** Rejects with the server's ServiceError; aborting cancels the call on both sides. */
  call<Name extends keyof Calls>(
    name: Name,
    request: RequestOf<Calls[Name]>,
    options: CallOptions,
  ): Promise<ResponseOf<Calls[Name]>>;
}

type RequestOf<Call> = Call extends [infer Request, unknown] ? Request : never;
type ResponseOf<Call> = Call extends [unknown, infer Response] ? Response : never;

export function createRpcClient<Calls>(
  service: RpcService<Calls>,
  socketPath: string,
): RpcClient<Calls> {
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure());
  return {
    call: (name, request, options) => {
      const method = service.definition[String(name)];
      if (method === undefined) throw new Error(`no call ${String(name)}`);
      return callOnce(client, { method, request }, options);
    },
    [Symbol.dispose]: () => client.close(),
  };
}

/** The method's own codec says what the answer is. */
async function callOnce<Request, Response>(
  client: Client,
  { method, request }: { readonly method: MethodDefinition<Request, Response>; request: Request },
  { timeoutMs, signal }: CallOptions,
): Promise<Response> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<Response>();
  const call = client.makeUnaryRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    request,
    new Metadata(),
    { deadline: Date.now() + timeoutMs },
    (error, answer) => {
      if (answer === undefined) reject(error ?? new Error(`no answer to ${method.path}`));
      else resolve(answer);
    },
  );
  const cancel = () => call.cancel();
  signal?.addEventListener("abort", cancel, { once: true });
  try {
    return await promise;
  } finally {
    signal?.removeEventListener("abort", cancel);
  }
}
