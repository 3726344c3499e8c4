import { inspect, styleText } from "node:util";
import { type ErrorCode, isModelError } from "../core/errors.ts";
import { type ExitCode, errorExitCodes, exitCodes, signalExitCodes } from "./exit-codes.ts";
import { redact } from "./redact.ts";
import { hasColors, type Terminal } from "./terminal.ts";
import { printable, printableLines } from "./text.ts";

/** A command that did not do what it was asked for. */
export interface Failure {
  readonly code: ErrorCode | "UNEXPECTED";
  readonly message: string;
  readonly hint: string | undefined;
  readonly exitCode: ExitCode;
}

/** What to tell about an error. */
export function describeFailure(error: unknown, terminal: Terminal): Failure {
  const signal = terminal.stoppedBy();
  if (signal !== undefined)
    return {
      code: "CANCELLED",
      message: `stopped by ${signal}`,
      hint: isModelError(error) ? error.hint : undefined,
      exitCode: signalExitCodes[signal],
    };
  if (isModelError(error)) {
    const { code, message, hint } = error;
    return { code, message, hint, exitCode: errorExitCodes[code] };
  }
  const message = error instanceof Error ? `${error.name}: ${error.message}` : inspect(error);
  return {
    code: "UNEXPECTED",
    message: redact(message.split("\n")[0] ?? "", terminal.environment),
    hint: "this is a defect of Ballast: please report it with what the same command prints when BALLAST_DEBUG=1 is set",
    exitCode: exitCodes.unexpected,
  };
}

/** Writes a failure to standard error; with BALLAST_DEBUG=1 also where it came from. */
export function printFailure(failure: Failure, error: unknown, terminal: Terminal): void {
  const { stderr, environment } = terminal;
  const colors = hasColors(stderr, environment);
  const name = colors
    ? styleText(["bold", "red"], "ballast:", { validateStream: false })
    : "ballast:";
  const [first = "", ...more] = printableLines(failure.message);
  const lines = [`${name} ${failure.code}: ${first}`, ...more.map((line) => `  ${line}`)];
  const hint = failure.hint === undefined ? [] : printableLines(failure.hint);
  lines.push(...hint.map((line) => `  ${line}`));
  if (environment["BALLAST_DEBUG"]) lines.push(...describeCauses(error, terminal));
  stderr.write(`${lines.join("\n")}\n`);
}

function describeCauses(error: unknown, { environment }: Terminal): string[] {
  const lines: string[] = [];
  for (let cause = error, depth = 0; cause !== undefined && depth < 10; depth++) {
    const text = cause instanceof Error ? (cause.stack ?? cause.message) : inspect(cause);
    const [first = "", ...more] = redact(text, environment).split("\n");
    lines.push(`  ${depth === 0 ? "thrown" : "caused by"}: ${printable(first)}`);
    lines.push(...more.map((line) => `  ${printable(line)}`));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return lines;
}
