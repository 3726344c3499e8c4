import type { PullResult, PushResult } from "../index.ts";
import { startRegistry } from "../registry/server/server.ts";
import { startBallast } from "./ballast-program.ts";
import { compareFiles } from "./equal-files.ts";

/** What a model's way to the registry and back took. */
export interface Journey {
  readonly tag: string;
  readonly totalBytes: number;
  readonly push: Leg;
  readonly pull: Leg;
  /** The pull was killed in the middle; `pull` is the one that went on after it. */
  readonly resumed: boolean;
  /** Files whose sha256 was compared with the source's. */
  readonly checkedFiles: number;
}

interface Leg {
  readonly moved: number;
  readonly reused: number;
  readonly seconds: number;
}

/** A registry, a store, and somebody who watches. */
export interface Stage extends AsyncDisposable {
  /** `host:port` of the registry. */
  readonly address: string;
  push(source: string, reference: string): Promise<TimedResult<PushResult>>;
  pull(reference: string): Promise<TimedResult<PullResult>>;
  /** Kills a pull when the registry has answered so many layer requests; false when it was over before. */
  killPull(reference: string, afterRequests: number): Promise<boolean>;
  /** Compares what was pulled with its source, independently; returns the number of files. */
  compare(source: string, pulled: string): Promise<number>;
}

interface TimedResult<T> {
  readonly result: T;
  readonly seconds: number;
}

/** Starts a registry on a free loopback port, with its content and a store below `folder`. */
export async function openStage(folder: string, signal: AbortSignal): Promise<Stage> {
  let onBlob: () => void = () => undefined;
  const registry = await startRegistry({
    root: `${folder}/registry`,
    onRequest: ({ method, path }) => {
      if (method === "GET" && path.includes("/blobs/")) onBlob();
    },
  });
  const options = { store: `${folder}/store`, signal };
  const run = async <T>(...args: readonly string[]): Promise<TimedResult<T>> => {
    const startedAt = performance.now();
    const result = await startBallast<T>(args, options).result;
    if (result === undefined) throw new Error(`ballast ${args.join(" ")} was killed`);
    return { result, seconds: (performance.now() - startedAt) / 1000 };
  };
  return {
    address: registry.address,
    push: (source, reference) => run("push", source, reference),
    pull: (reference) => run("pull", reference),
    async killPull(reference, afterRequests) {
      let answered = 0;
      const running = startBallast(["pull", reference], options);
      onBlob = () => {
        answered += 1;
        if (answered === afterRequests) running.kill();
      };
      const killed = (await running.result) === undefined;
      onBlob = () => undefined;
      return killed;
    },
    compare: (source, pulled) => compareFiles(source, pulled, signal),
    [Symbol.asyncDispose]: () => registry.close(),
  };
}
