import { resolve } from "node:path";
import type { Command } from "commander";
import { readVersion } from "../../core/version.ts";
import { type AgentFlags, addRunFlag, runFolder } from "../agent-flags.ts";
import { parseListen } from "../flag-values.ts";
import { logTo, untilStopped } from "../service.ts";
import type { Terminal } from "../terminal.ts";

interface ServeFlags extends AgentFlags {
  readonly root: string;
  readonly config?: string | undefined;
  readonly peerListen?: string | undefined;
}

const examples = `
Examples:
  ballast agent --root /var/lib/ballast
  ballast agent --root /var/lib/ballast --run /run/ballast --config /etc/ballast/agent.yaml
  ballast agent --root /var/lib/ballast --peer-listen 127.0.0.1:5003

It owns the store in DIR and serves others over unix sockets: the CSI plugin, schedulers,
and ballast prefetch, status and mount. SIGHUP reads the configuration again, SIGTERM ends
it; what it was pulling goes on with the next start. It needs no root: any user who owns
DIR and the folder of the sockets will do.`;

/** Adds `ballast agent`. */
export function addAgent(program: Command, terminal: Terminal): void {
  const command = program
    .command("agent")
    .summary("keep the models of this node until stopped")
    .description("Runs the agent of a node. Its log goes to standard error, a line of JSON each.")
    .requiredOption("--root <DIR>", "the store; made where missing")
    .option("--config <FILE>", "what the operator decides, in YAML: docs/operations.md")
    .option("--peer-listen <HOST:PORT>", "serve models as a registry mirror: docs/agent-api.md")
    .addHelpText("after", examples);
  addRunFlag(command);
  command.action(async (flags: ServeFlags) => serve(flags, terminal));
}

async function serve(flags: ServeFlags, terminal: Terminal): Promise<void> {
  const { environment, onHangUp } = terminal;
  const { startAgent } = await import("../../agent/agent.ts");
  const { defaultConfig, readConfig } = await import("../../agent/config.ts");
  const { config: path } = flags;
  const read = async () => (path === undefined ? defaultConfig() : readConfig(path));
  const write = logTo(terminal);
  await using agent = await startAgent({
    root: resolve(flags.root),
    run: resolve(runFolder(flags, environment)),
    config: await read(),
    environment,
    version: readVersion(),
    peerListen: flags.peerListen === undefined ? undefined : parseListen(flags.peerListen),
    write,
  });
  const reload = async () => {
    try {
      await agent.configure(await read());
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      write(
        JSON.stringify({ time: new Date().toISOString(), event: "configuration kept", message }),
      );
    }
  };
  using _ = onHangUp(() => void reload());
  await untilStopped(terminal);
}
