import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { ModelError } from "../../src/core/errors.ts";
import type { RpcService } from "./services.ts";
import { bindUnderName } from "./unix-socket.ts";

/** What an implementation knows of the call besides its message. */
export interface Call {
  /** Aborted, with a CANCELLED error, when the caller hangs up or the server stops. */
  readonly signal: AbortSignal;
  /** Milliseconds until the caller stops waiting; Infinity where it set no deadline. */
  readonly remainingMs: number;
}

/** A function per call of a service. */
export type Implementation<Calls> = {
  readonly [Name in keyof Calls]: Calls[Name] extends [infer Request, infer Response]
    ? (request: Request, call: Call) => Response | Promise<Response>
    : never;
};

/** How a failure is told to the caller: a gRPC code and text for people. */
export interface RpcStatus {
  readonly code: number;
  readonly details: string;
}

/** Calls that are under way get this long to be answered once the server stops. */
const closeGraceMs = 5000;

/** Collects services and serves them on a unix socket until it is disposed. */
export interface RpcServer extends AsyncDisposable {
  add<Calls>(service: RpcService<Calls>, implementation: Implementation<Calls>): void;
  /** Binds under a name of its own and renames; the name goes with the server. */
  listen(path: string): Promise<void>;
}

/** Creates a server without services. `describe` turns what an implementation throws into a status. */
export function createRpcServer(describe: (error: unknown, call: string) => RpcStatus): RpcServer {
  const server = new Server();
  const stop = new AbortController();
  const names: { remove(): Promise<void> }[] = [];
  return {
    add(service, implementation) {
      // The service's own types say what each function takes and gives.
      const answerers = implementation as Readonly<Record<string, Answerer>>;
      const calls = Object.entries(answerers).map(
        ([name, answer]) => [name, respond(answer, name)] as const,
      );
      server.addService(service.definition, Object.fromEntries(calls));
    },
    async listen(path) {
      names.push(await bindUnderName(path, (first) => bind(server, first)));
    },
    async [Symbol.asyncDispose]() {
      // No caller begins a call on its way to a server that answers none any more.
      for (const name of names) await name.remove();
      stop.abort(new ModelError("CANCELLED", "the plugin stops", { hint: "it goes on after" }));
      await close(server);
    },
  };

  function respond(answer: Answerer, name: string) {
    return (call: ServerUnaryCall<object, object>, callback: sendUnaryData<object>): void => {
      const work = async () => {
        const cancelled = new AbortController();
        const hangUp = () => cancelled.abort(new ModelError("CANCELLED", "the caller hung up"));
        call.once("cancelled", hangUp);
        try {
          const signal = AbortSignal.any([stop.signal, cancelled.signal]);
          callback(null, await answer(call.request, { signal, remainingMs: remainingMs(call) }));
        } catch (error) {
          callback({ ...describe(error, name), metadata: new Metadata() });
        } finally {
          call.off("cancelled", hangUp);
        }
      };
      // It never rejects: what goes wrong is the answer.
      void work();
    };
  }
}

type Answerer = (request: object, call: Call) => object | Promise<object>;

function remainingMs(call: ServerUnaryCall<object, object>): number {
  return Number(call.getDeadline()) - Date.now();
}

async function bind(server: Server, path: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => {
    if (error === null) resolve();
    else reject(error);
  });
  await promise;
}

async function close(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    server.forceShutdown();
    resolve();
  }, closeGraceMs);
  server.tryShutdown(() => resolve());
  await promise;
  clearTimeout(timer);
}
