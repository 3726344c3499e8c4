import { inspect } from "node:util";
import fc from "fast-check";
import { runScenario } from "./interleavings/run.ts";
import { scenario } from "./interleavings/scenario.ts";

/**
 * Runs so many scenarios (first argument), from a seed (second) and a path (third) where one is to be
 * repeated; prints what it did, and the failure, as JSON. With UV_THREADPOOL_SIZE=1 a seed gives
 * the same order of things each time.
 */
const [, , runs = "1", seed, path] = process.argv;
const counts = { interleavings: 0, operations: 0, crashes: 0 };
const details = await fc.check(
  fc.asyncProperty(scenario, (rounds) => runScenario(rounds, counts)),
  {
    numRuns: Number(runs),
    // A failure is made smaller for no longer than this either.
    interruptAfterTimeLimit: Math.max(90_000, Number(runs) * 1000),
    markInterruptAsFailure: false,
    ...(seed === undefined ? {} : { seed: Number(seed) }),
    ...(path === undefined ? {} : { path }),
  },
);
const failure = details.failed
  ? `${await fc.asyncDefaultReportMessage(details)}\n${inspect(details.errorInstance)}`
  : undefined;
process.stdout.write(`${JSON.stringify({ ...counts, seed: details.seed, failure })}\n`);
