import { once } from "node:events";
import { readVersion } from "../src/core/version.ts";
import { createCommand } from "./flags.ts";
import type { Log } from "./log.ts";
import { startPlugin } from "./plugin.ts";

/** One JSON object a line, as collectors of logs read it. */
const log: Log = (event, facts) => {
  const line = JSON.stringify({ time: new Date().toISOString(), event, ...facts });
  process.stderr.write(`${line}\n`);
};

const version = readVersion();
const command = createCommand(version, async (flags) => {
  // Sockets and state are this user's alone.
  process.umask(0o077);
  const stopped = Promise.race([once(process, "SIGTERM"), once(process, "SIGINT")]);
  await using _plugin = await startPlugin({ ...flags, version, log });
  log("serving", { version, endpoint: flags.endpoint, node: flags.nodeId });
  await stopped;
  log("stopping");
});
try {
  await command.parseAsync(process.argv);
} catch (error) {
  log("failed", { why: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  process.exitCode = 1;
}
