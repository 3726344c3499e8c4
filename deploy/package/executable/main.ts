import { getAsset } from "node:sea";
import { readVersion } from "../../../src/core/version.ts";

// As src/cli/main.ts and bin/ballast do it for files. A main that is CommonJS cannot await.
const [first = "", ...rest] = process.argv.slice(2);
if ((first === "--version" || first === "-V") && rest.length === 0)
  process.stdout.write(`ballast ${readVersion()}\n`);
else if (first === "--licenses" && rest.length === 0)
  process.stdout.write(getAsset("LICENSES.txt", "utf8"));
else void start();

async function start(): Promise<void> {
  if (/^(?:agent|reporter|controller|webhook)$/.test(first)) useOneArena();
  const { startCommandLine } = await import("../../../src/cli/start.ts");
  await startCommandLine();
}

/** What lives long gives back what ended threads had; the C library reads this once, at its start. */
function useOneArena(): void {
  const { execPath, argv, env } = process;
  if (env["MALLOC_ARENA_MAX"] !== undefined) return;
  process.execve?.(execPath, [execPath, ...argv.slice(2)], { ...env, MALLOC_ARENA_MAX: "1" });
}
