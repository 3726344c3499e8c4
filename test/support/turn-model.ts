import { expect } from "vitest";
import {
  createTurnQueue,
  type Line,
  type Priority,
  priorities,
  type Turn,
  type TurnLimits,
  type TurnTaker,
} from "../../src/transfer/turn-queue.ts";

/** Something that happens to a queue; `at` picks one of what there is. */
export type TurnStep =
  | {
      readonly do: "open";
      readonly line: { provider: string; priority: Priority; waiting: number };
    }
  | { readonly do: "end" | "ask" | "leave"; readonly at: number }
  | { readonly do: "change"; readonly at: number; readonly priority: Priority }
  | { readonly do: "limit"; readonly limits: TurnLimits };

interface ModelLine {
  readonly provider: string;
  priority: Priority;
  /** Pieces that have not begun. */
  waiting: number;
  /** Number of the turn it began last. */
  last: number;
  readonly line: Line;
  readonly taker: TurnTaker;
}

interface ModelTurn {
  readonly of: ModelLine;
  readonly turn: Turn;
  readonly end: () => void;
  isOver: boolean;
}

/**
 * A queue beside the plainest account of what it should do: each turn it gives is checked against all
 * that could have had it, and after each step nobody waits who could have one.
 */
export function createTurnModel(initial: TurnLimits) {
  const queue = createTurnQueue(initial);
  const lines: ModelLine[] = [];
  const turns: ModelTurn[] = [];
  let limits = initial;
  let opened = 0;
  let begun = 0;
  let left = 0;

  const rank = ({ priority }: ModelLine) => priorities.indexOf(priority);
  const had = (line: ModelLine) => turns.filter((turn) => turn.of === line).length;
  const ofProvider = (provider: string, among: readonly ModelTurn[]) =>
    among.filter((turn) => turn.of.provider === provider).length;
  const hasRoom = ({ provider }: ModelLine, among: readonly ModelTurn[]) =>
    among.length < limits.connections &&
    ofProvider(provider, among) < limits.connectionsPerProvider;
  const isTooMany = ({ provider }: ModelLine) =>
    turns.length > limits.connections ||
    ofProvider(provider, turns) > limits.connectionsPerProvider;
  const ready = () => lines.filter((line) => line.waiting > 0 && hasRoom(line, turns));

  function checkBest(chosen: ModelLine): void {
    expect(hasRoom(chosen, turns)).toBe(true);
    for (const other of ready()) {
      expect(rank(other)).toBeLessThanOrEqual(rank(chosen));
      if (rank(other) < rank(chosen)) continue;
      expect(had(other)).toBeGreaterThanOrEqual(had(chosen));
      if (had(other) === had(chosen)) expect(other.last).toBeGreaterThanOrEqual(chosen.last);
    }
  }

  function open({ provider, priority, waiting }: Extract<TurnStep, { do: "open" }>["line"]): void {
    const taker: TurnTaker = {
      get waiting() {
        return own.waiting;
      },
      begin: (turn, end) => {
        checkBest(own);
        own.waiting -= 1;
        own.last = ++begun;
        const given = { of: own, turn, end, isOver: false };
        turns.push(given);
        expect(turn.isOver()).toBe(false);
      },
    };
    const line = queue.openLine({ provider, priority: () => own.priority });
    const own: ModelLine = { provider, priority, waiting, last: 0, line, taker };
    lines.push(own);
    opened += waiting;
    line.add(taker);
  }

  const goesBefore = (line: ModelLine, of: ModelLine) =>
    line.waiting > 0 &&
    (rank(line) > rank(of) || (rank(line) === rank(of) && had(line) === 0 && had(of) > 1));

  function ask(turn: ModelTurn): void {
    const before = turn.isOver;
    turn.isOver = turn.turn.isOver();
    if (before) return expect(turn.isOver).toBe(true);
    const waiting = lines.filter((line) => goesBefore(line, turn.of));
    const others = turns.filter((each) => each !== turn);
    if (turn.isOver) return expect(isTooMany(turn.of) || waiting.length > 0).toBe(true);
    // With none about to end, nobody may be kept waiting whom its end would let begin.
    if (others.some(({ isOver }) => isOver)) return;
    expect(isTooMany(turn.of)).toBe(false);
    expect(waiting.filter((line) => hasRoom(line, others))).toEqual([]);
  }

  /** Ends a turn; one that was over leaves a part of its work. */
  function end(turn: ModelTurn): void {
    turns.splice(turns.indexOf(turn), 1);
    if (turn.isOver && lines.includes(turn.of)) {
      turn.of.waiting += 1;
      opened += 1;
    }
    turn.end();
  }

  function leave(line: ModelLine): void {
    lines.splice(lines.indexOf(line), 1);
    left += line.waiting;
    line.waiting = 0;
    line.line.remove(line.taker);
  }

  function check(): void {
    expect(ready()).toEqual([]);
    expect(begun + left + lines.reduce((sum, { waiting }) => sum + waiting, 0)).toBe(opened);
  }

  function at<T>(items: readonly T[], number: number): T | undefined {
    return items[number % items.length];
  }

  function perform(step: TurnStep): void {
    if (step.do === "open") return open(step.line);
    if (step.do === "limit") {
      limits = step.limits;
      return queue.configure(limits);
    }
    const turn = at(turns, step.at);
    const line = at(lines, step.at);
    if (step.do === "end" && turn !== undefined) end(turn);
    if (step.do === "ask" && turn !== undefined) ask(turn);
    if (step.do === "leave" && line !== undefined) leave(line);
    if (step.do === "change" && line !== undefined) line.priority = step.priority;
  }

  return {
    take(step: TurnStep): void {
      perform(step);
      check();
    },
    /** Ends everything that is under way, until nothing begins; returns how many pieces wait still. */
    drain(): number {
      for (let turn = turns[0]; turn !== undefined; turn = turns[0]) {
        turn.isOver = false;
        end(turn);
        check();
      }
      return lines.reduce((sum, { waiting }) => sum + waiting, 0);
    },
  };
}
