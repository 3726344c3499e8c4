/**
 * Adds up vitest's JSON reports for `.ci/run`: prints `<passed> <failed>` on standard output. A
 * skipped test, a file that did not load and a report that is missing each count as a failure and
 * are named on standard error.
 */
import { readFile } from "node:fs/promises";

interface Counts {
  readonly passed: number;
  readonly failures: readonly string[];
}

const counts = await Promise.all(process.argv.slice(2).map(countReport));
const failures = counts.flatMap((count) => count.failures);
for (const failure of failures) console.error(failure);
const passed = counts.reduce((sum, count) => sum + count.passed, 0);
console.log(`${passed} ${failures.length}`);

async function countReport(path: string): Promise<Counts> {
  try {
    return count(JSON.parse(await readFile(path, "utf8")), path);
  } catch (error) {
    return { passed: 0, failures: [`no report ${path}: ${String(error)}`] };
  }
}

/** Reads `testResults[].assertionResults[].status`, the shape of Jest's report. */
function count(report: unknown, path: string): Counts {
  const files = list(report, "testResults");
  const tests = files.flatMap((file) => list(file, "assertionResults"));
  const failed = tests.filter((test) => text(test, "status") !== "passed");
  const broken = files.filter(
    (file) => text(file, "status") === "failed" && list(file, "assertionResults").length === 0,
  );
  const failures = [
    ...failed.map((test) => `${text(test, "status")}: ${text(test, "fullName")}`),
    ...broken.map((file) => `did not run: ${text(file, "name")}`),
  ];
  if (tests.length === 0) failures.push(`no test in ${path}`);
  return { passed: tests.length - failed.length, failures };
}

function field(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

function list(value: unknown, name: string): unknown[] {
  const found = field(value, name);
  return Array.isArray(found) ? found : [];
}

function text(value: unknown, name: string): string {
  return String(field(value, name));
}
