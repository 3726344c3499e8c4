import type { ProgressEvent, RunOptions } from "../core/progress.ts";
import { createBarDisplay, createLineDisplay } from "./progress/progress-display.ts";
import { isInteractive, type Terminal } from "./terminal.ts";
import { printable } from "./text.ts";

export interface ReportFlags {
  readonly quiet?: boolean | undefined;
  /** What is said at the first Ctrl-C. */
  readonly stopping?: string | undefined;
}

/** What a running command tells on standard error. */
export interface Report extends Disposable {
  /** For the library call that does the work. */
  readonly options: Required<RunOptions>;
  /** Writes lines for the user; nothing with --quiet. */
  note(...lines: readonly string[]): void;
  /** Takes the progress away, before the summary. Idempotent. */
  end(): void;
  /** Seconds since the report was opened. */
  seconds(): number;
}

/** Opens the report of a command: progress, notes, warnings, and what Ctrl-C does. */
export function openReport(terminal: Terminal, flags: ReportFlags): Report {
  const { quiet = false, stopping = "stopping; once more stops at once and is safe too" } = flags;
  const { stderr, environment, signal } = terminal;
  const now = () => performance.now();
  const startedAt = now();
  const create = isInteractive(stderr, environment) ? createBarDisplay : createLineDisplay;
  const display = create({ stream: stderr, now });
  const timer = quiet ? undefined : setInterval(() => display.tick(), 100).unref();
  const note = (...lines: readonly string[]) => {
    if (!quiet && lines.length > 0) display.write(lines.map(printable));
  };
  const onStop = () => note(stopping);
  signal.addEventListener("abort", onStop, { once: true });
  const end = () => {
    clearInterval(timer);
    signal.removeEventListener("abort", onStop);
    if (!quiet) display.end();
  };
  const onProgress = (event: ProgressEvent) => {
    if (event.type === "warning") note(`warning: ${event.message}`);
    else if (event.type === "notice") note(event.message);
    else if (!quiet) display.show(event);
  };
  return {
    options: { signal, onProgress },
    note,
    end,
    seconds: () => (now() - startedAt) / 1000,
    [Symbol.dispose]: end,
  };
}
