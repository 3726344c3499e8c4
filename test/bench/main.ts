/** `npm run bench`: measures Ballast beside its peers; see options.ts. */
import { readOptions, usage } from "./options.ts";
import { rows } from "./rows/catalog.ts";
import { runBench } from "./run-bench.ts";

const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
  process.once(name, () => stop.abort(new Error(`stopped by ${name}`)));

try {
  const options = readOptions(process.argv.slice(2));
  if (options.action === "help") console.log(usage);
  else if (options.action === "list")
    for (const { id, title } of rows) console.log(`${id.padEnd(24)}${title}`);
  else process.exitCode = (await runBench(options, stop.signal)) ? 0 : 1;
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = stop.signal.aborted ? 130 : 2;
}
