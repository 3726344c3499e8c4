import type { Command } from "commander";
import { readVersion } from "../core/version.ts";
import type { ClusterApi } from "../kubernetes/api/cluster-api.ts";

export interface ClusterFlags {
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
}

/** Adds `--kubeconfig` and `--context`. */
export function addClusterFlags(command: Command): Command {
  return command
    .optionsGroup("Cluster:")
    .option(
      "--kubeconfig <FILE>",
      "default: KUBECONFIG, ~/.kube/config, or in a pod its ServiceAccount",
    )
    .option("--context <NAME>", "a context of it, other than its current one");
}

/** The API server that the flags name; `role` is told to it. Nothing is sent yet. */
export async function openCluster(flags: ClusterFlags, role: string): Promise<ClusterApi> {
  // It takes a third of a second to load.
  const { createClusterApi } = await import("../kubernetes/api/cluster-api.ts");
  const { kubeconfig, context } = flags;
  return createClusterApi({ kubeconfig, context, userAgent: `ballast-${role}/${readVersion()}` });
}
