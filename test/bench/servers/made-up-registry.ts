import { join } from "node:path";
import * as v from "valibot";
import { startProgram } from "../../support/program-process.ts";
import type { RequestLog } from "./request-log.ts";
import { cpuSecondsOf, type RunningServer } from "./running-server.ts";

/** What happened so far; requests by who had to answer them. */
interface RequestCounts {
  /** The registry itself. */
  readonly registry: number;
  /** The address that it redirects blobs to. */
  readonly storage: number;
  /** Bytes of blobs that came or went. */
  readonly layerBytes: number;
}

/** A registry that keeps no layers; see child-made-up-registry.ts. */
export interface MadeUpRegistry extends RunningServer {
  /** Bytes of its model. */
  readonly modelBytes: number;
  counts(): Promise<RequestCounts>;
}

const counts: v.GenericSchema<unknown, RequestCounts> = v.object({
  registry: v.number(),
  storage: v.number(),
  layerBytes: v.number(),
});

/** Starts it in a process of its own, with a simulated model of `bytes` bytes, or none for 0. */
export async function startMadeUpRegistry(options: {
  readonly bytes: number;
  readonly redirect: boolean;
}): Promise<MadeUpRegistry> {
  const script = join(import.meta.dirname, "child-made-up-registry.ts");
  const how = options.redirect ? "redirect" : "serve";
  const { process: child, match } = await startProgram(
    [process.execPath, script, String(options.bytes), how],
    { ready: /serving (\d+) bytes at (\S+) and/, timeoutMs: 60_000 },
  );
  const [, modelBytes, host = ""] = match;
  const ask = async () => v.parse(counts, await (await fetch(`http://${host}/counts`)).json());
  const log: RequestLog = {
    // It serves one client, from its start to its end.
    mark: async () => 0,
    since: async () => {
      const { registry, layerBytes } = await ask();
      return { requests: registry, movedBytes: layerBytes };
    },
  };
  return {
    host,
    authorityFile: undefined,
    log,
    modelBytes: Number(modelBytes),
    counts: ask,
    cpuSeconds: () => cpuSecondsOf([child.pid]),
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}
