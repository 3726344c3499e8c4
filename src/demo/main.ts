import { glob, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { formatSeconds } from "../cli/amounts.ts";
import { catchStopSignals } from "../cli/stop-signals.ts";
import { describeJourneys, explainJourneys } from "./closing-table.ts";
import { halfGibibyte } from "./llama-shape.ts";
import { tourOwnModel, tourSamples } from "./tour.ts";
import { openWorkplace } from "./workplace.ts";

const usage = `Usage: npm run demo [-- PATH]

Without PATH: makes a 512 MiB model and three descendants, pushes and pulls them, kills a
pull in the middle, resumes it, checks every byte and, where it may, mounts one. With PATH: the same with one model of
yours, a folder or a file, which is only read.`;

const say = (line: string) => void process.stdout.write(`${line}\n`);
using stop = catchStopSignals();

try {
  await start(process.argv.slice(2));
} catch (error) {
  const name = stop.stoppedBy();
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`demo: ${name === undefined ? message : `stopped by ${name}`}\n`);
  process.exitCode = name === undefined ? 1 : name === "SIGINT" ? 130 : 143;
}

async function start(args: readonly string[]): Promise<void> {
  const [path, ...rest] = args;
  if (path === "-h" || path === "--help") return say(usage);
  if (rest.length > 0) throw new Error(`takes one path\n${usage}`);
  const startedAt = performance.now();
  await showAll(path);
  say(`\nAll files verified, all traces removed, in ${since(startedAt)}.`);
}

async function showAll(path: string | undefined): Promise<void> {
  const { signal } = stop;
  // At the worst moment: all models in the registry and in the store, one at its source or on the node.
  const needed = path === undefined ? 5 * 1024 ** 3 : 4 * (await sizeOf(resolve(path)));
  await using workplace = await openWorkplace(needed);
  const folder = workplace.path;
  say("A registry on this machine, a store, and models on their way from one to the other.");
  say(`All of it is in ${folder} and goes away at the end.`);
  const options = { folder, signal, say };
  const journeys =
    path === undefined
      ? await tourSamples(halfGibibyte, options)
      : await tourOwnModel(resolve(path), options);
  say("");
  for (const line of [...describeJourneys(journeys), "", ...explainJourneys(journeys)]) say(line);
}

async function sizeOf(path: string): Promise<number> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) throw new Error(`there is no ${path}`);
  if (found.isFile()) return found.size;
  let bytes = 0;
  for await (const entry of glob("**/*", { cwd: path, withFileTypes: true })) {
    const file = await stat(join(entry.parentPath, entry.name)).catch(() => undefined);
    if (file?.isFile() === true) bytes += file.size;
  }
  return bytes;
}

function since(startedAt: number): string {
  return formatSeconds((performance.now() - startedAt) / 1000);
}
