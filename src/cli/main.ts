import { enableCompileCache } from "node:module";
import { isAbsolute, join } from "node:path";
import { readVersion } from "../core/version.ts";

// Everything else is loaded after this, so that it comes from the cache and `--version` from here.
const [first, ...rest] = process.argv.slice(2);
if ((first === "--version" || first === "-V") && rest.length === 0)
  process.stdout.write(`ballast ${readVersion()}\n`);
else await start();

async function start(): Promise<void> {
  cacheCompiledCode();
  const { startCommandLine } = await import("./start.ts");
  await startCommandLine();
}

/** Halves the start-up. Never in a shared folder, where others could plant code. */
function cacheCompiledCode(): void {
  const { XDG_CACHE_HOME: cache = "", HOME: home = "" } = process.env;
  if (isAbsolute(cache)) enableCompileCache(join(cache, "ballast-code"));
  else if (isAbsolute(home)) enableCompileCache(join(home, ".cache", "ballast-code"));
}
