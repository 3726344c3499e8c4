import type { ProgressEvent } from "../../core/progress.ts";
import type { OutputStream } from "../terminal.ts";
import { textWidth } from "../text.ts";
import { describeTally, drawBars } from "./progress-lines.ts";
import { createTally } from "./tally.ts";

/** What shows progress on standard error while a command runs. */
export interface ProgressDisplay {
  show(event: ProgressEvent): void;
  /** Writes whole lines; bars stay below them. */
  write(lines: readonly string[]): void;
  /** Brings what is shown up to date; to be called about ten times a second. */
  tick(): void;
  /** Takes bars away. Idempotent; nothing is shown after it but what `write` is given. */
  end(): void;
}

export interface DisplayOptions {
  readonly stream: OutputStream;
  /** Milliseconds that never go back. */
  readonly now: () => number;
}

const redrawMs = 100;
const lineMs = 5000;

/** Bars that are redrawn in place, for a terminal. */
export function createBarDisplay({ stream, now }: DisplayOptions): ProgressDisplay {
  const tally = createTally(now);
  let drawn: readonly string[] = [];
  let drawnAt = -Infinity;
  let ended = false;

  const draw = (above: readonly string[], bars: readonly string[]) => {
    if (bars.length === 0 && drawn.length === 0) writeLines(stream, above);
    else stream.write(repaint(drawn, above, bars, columnsOf(stream)));
    drawn = bars;
    drawnAt = now();
  };
  const bars = () => {
    const current = ended ? undefined : tally.current();
    return current === undefined ? [] : drawBars(current, columnsOf(stream));
  };
  const tick = () => {
    if (!ended && now() - drawnAt >= redrawMs) draw([], bars());
  };
  return {
    show(event) {
      tally.count(event);
      tick();
    },
    write: (lines) => draw(lines, bars()),
    tick,
    end() {
      ended = true;
      draw([], []);
    },
  };
}

/** A plain line every few seconds and at the end, for a log. */
export function createLineDisplay({ stream, now }: DisplayOptions): ProgressDisplay {
  const tally = createTally(now);
  let writtenAt = now();
  let written = "";
  let ended = false;

  const writeTally = () => {
    const current = tally.current();
    const line = current === undefined ? "" : describeTally(current);
    writtenAt = now();
    if (line !== "" && line !== written) stream.write(`${line}\n`);
    written = line;
  };
  const tick = () => {
    if (!ended && now() - writtenAt >= lineMs) writeTally();
  };
  return {
    show(event) {
      tally.count(event);
      tick();
    },
    write: (lines) => writeLines(stream, lines),
    tick,
    end() {
      if (!ended) writeTally();
      ended = true;
    },
  };
}

function writeLines(stream: OutputStream, lines: readonly string[]): void {
  if (lines.length > 0) stream.write(lines.map((line) => `${line}\n`).join(""));
}

/** One write for a whole frame, each line cleared only behind its text: nothing flickers. */
function repaint(
  old: readonly string[],
  above: readonly string[],
  bars: readonly string[],
  columns: number,
): string {
  // After a resize the terminal has wrapped the old lines to the new width.
  const rows = old.reduce(
    (sum, line) => sum + Math.max(1, Math.ceil(textWidth(line) / columns)),
    0,
  );
  const up = rows > 0 ? `\x1b[${rows}A\r` : "";
  const lines = [...above, ...bars].map((line) => `${line}\x1b[K\n`);
  return `${up}${lines.join("")}\x1b[J`;
}

function columnsOf({ columns = 80 }: OutputStream): number {
  return columns > 0 ? columns : 80;
}
