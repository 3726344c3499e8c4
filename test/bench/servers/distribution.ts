import { readFile } from "node:fs/promises";
import type { Certificates } from "../../support/certificates.ts";
import { startDistribution } from "../../support/real-registries.ts";
import { openRequestLog } from "./request-log.ts";
import { cpuSecondsOf, type RunningServer } from "./running-server.ts";

export interface BenchRegistryOptions {
  /** Where blobs are kept; stays after the end. */
  readonly root: string;
  /** Serves HTTPS. */
  readonly certificates?: Certificates | undefined;
  /** File for the access log. */
  readonly accessLog: string;
}

/** Starts distribution 3 on a folder. */
export async function startBenchRegistry(options: BenchRegistryOptions): Promise<RunningServer> {
  const { root, certificates, accessLog } = options;
  const registry = await startDistribution({
    version: "v3",
    root,
    tls: certificates?.server,
    accessLog,
  });
  const scheme = certificates === undefined ? "http" : "https";
  const authority =
    certificates === undefined ? undefined : await readFile(certificates.authorityFile, "utf8");
  return {
    host: registry.address,
    authorityFile: certificates?.authorityFile,
    log: openRequestLog({
      file: accessLog,
      url: `${scheme}://${registry.address}/v2/`,
      authority,
    }),
    cpuSeconds: () => cpuSecondsOf([registry.process.pid]),
    [Symbol.asyncDispose]: () => registry[Symbol.asyncDispose](),
  };
}
