import { existsSync } from "node:fs";
import type { Command } from "commander";
import { socketPath } from "../agent/api/routes.ts";
import type { AgentClient } from "../agent/client/client.ts";
import { isModelError, ModelError } from "../core/errors.ts";
import type { Environment, Terminal } from "./terminal.ts";

export interface AgentFlags {
  readonly run?: string | undefined;
}

const defaultRun = "/run/ballast";

/** Adds `--run`. */
export function addRunFlag(command: Command): Command {
  return command
    .optionsGroup("Agent:")
    .option(
      "--run <DIR>",
      `folder of the agent's sockets; default: BALLAST_RUN, else ${defaultRun}`,
    );
}

/** The folder of the agent's sockets. */
export function runFolder({ run }: AgentFlags, environment: Environment): string {
  return run || environment["BALLAST_RUN"] || defaultRun;
}

/** The agent of this node, as its administrator. Nothing is sent yet. */
export async function openAgent(flags: AgentFlags, environment: Environment): Promise<AgentClient> {
  const { createAgentClient } = await import("../agent/client/client.ts");
  return createAgentClient(adminSocket(flags, environment));
}

function adminSocket(flags: AgentFlags, environment: Environment): string {
  return socketPath(runFolder(flags, environment), "admin");
}

/**
 * The agent of this node, where one runs and owns this store: what changes the store is then asked of
 * it. Undefined else.
 */
export async function ownerOf(
  root: string,
  flags: AgentFlags,
  { environment, signal }: Pick<Terminal, "environment" | "signal">,
): Promise<AgentClient | undefined> {
  // Most machines have none: then nothing is loaded to ask one.
  if (!existsSync(adminSocket(flags, environment))) return undefined;
  const agent = await openAgent(flags, environment);
  try {
    const { store } = await agent.status({ signal });
    return store.root === root ? agent : undefined;
  } catch (error) {
    if (isModelError(error, "AGENT_UNAVAILABLE", "FORBIDDEN")) return undefined;
    throw error;
  }
}

/** Throws STORE_LOCKED with what to do instead where the agent of this node owns the store. */
export async function refuseAgentsStore(
  root: string,
  flags: AgentFlags & { readonly instead: string },
  terminal: Pick<Terminal, "environment" | "signal">,
): Promise<void> {
  if ((await ownerOf(root, flags, terminal)) === undefined) return;
  throw new ModelError("STORE_LOCKED", `the agent of this node owns the store ${root}`, {
    hint: flags.instead,
  });
}
