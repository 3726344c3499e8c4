import { startProgram } from "../../support/program-process.ts";
import type { MeasuredBallast } from "../clients/ballast.ts";
import { cpuSecondsOf, type RunningServer } from "./running-server.ts";

/** Starts the registry of the Ballast that is measured, on a folder; its requests are not counted. */
export async function startEmbedded(
  { program, cache }: MeasuredBallast,
  root: string,
): Promise<RunningServer> {
  const command = ["registry", "serve", "--root", root, "--listen", "127.0.0.1:0", "--quiet"];
  const { process: child, match } = await startProgram([program, ...command], {
    env: { XDG_CACHE_HOME: cache },
    ready: /http:\/\/(127\.0\.0\.1:\d+)/,
    timeoutMs: 60_000,
  });
  return {
    host: match[1] ?? "",
    authorityFile: undefined,
    log: {
      mark: () => Promise.resolve(0),
      since: () => Promise.reject(new Error("requests of this registry are not counted")),
    },
    cpuSeconds: () => cpuSecondsOf([child.pid]),
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}
