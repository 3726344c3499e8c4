/** What connections are wanted for: each comes before those to its left. */
export const priorities = ["prefetch", "mount", "read"] as const;

export type Priority = (typeof priorities)[number];

export interface TurnLimits {
  /** Most turns at once. */
  readonly connections: number;
  /** Most turns at once for work that one provider serves. */
  readonly connectionsPerProvider: number;
}

/** The use of one connection for one piece of work. */
export interface Turn {
  /**
   * To be asked between chunks: whether somebody else should have the connection. After a yes, which
   * stays, the work ends as soon as it can, and what is left of it waits for another turn.
   */
  isOver(): boolean;
  /** Has `listener` called when the answer may have become yes: for work that has nothing half done. */
  onCall(listener: () => void): void;
}

/** Pieces of work, each of which takes one turn. */
export interface TurnTaker {
  /** How many pieces have not begun. */
  readonly waiting: number;
  /** Begins one of them. It calls `end` once, when the connection is free again. */
  begin(turn: Turn, end: () => void): void;
}

interface LineOptions {
  /** Who serves what the line waits for. */
  readonly provider: string;
  /** Asked each time it matters, so it may change at any time. */
  readonly priority: () => Priority;
}

/** A place to wait for turns; what waits here is served in the order it was added. */
export interface Line {
  add(taker: TurnTaker): void;
  remove(taker: TurnTaker): void;
}

/**
 * Gives out turns. A free one goes to the line of the highest priority, among equals to the one with
 * the fewest turns, then to the one whose last turn began first. When all are taken, turns of lower
 * priority are over, and of the same priority those of a line with several while another has none.
 */
export interface TurnQueue {
  openLine(options: LineOptions): Line;
  /** Holds from now on: with lower limits turns that are too many are over. */
  configure(limits: TurnLimits): void;
}

interface OpenLine extends LineOptions {
  readonly takers: Set<TurnTaker>;
  /** Number of the turn that began last. */
  lastBegun: number;
}

interface RunningTurn {
  readonly line: OpenLine;
  isOver: boolean;
  call: (() => void) | undefined;
}

/** Creates a queue without lines. */
export function createTurnQueue(initial: TurnLimits): TurnQueue {
  const lines = new Set<OpenLine>();
  const running = new Set<RunningTurn>();
  let limits = initial;
  let begun = 0;

  // Below none after the limits went down.
  const roomInAll = (turns: readonly RunningTurn[]) => limits.connections - turns.length;
  const roomAt = (provider: string, turns: readonly RunningTurn[]) =>
    limits.connectionsPerProvider - turns.filter(({ line }) => line.provider === provider).length;

  function nextLine(): OpenLine | undefined {
    const turns = [...running];
    if (roomInAll(turns) <= 0) return undefined;
    const ready = [...lines].filter(
      (line) => waitingOf(line) > 0 && roomAt(line.provider, turns) > 0,
    );
    const order = (a: OpenLine, b: OpenLine) =>
      rankOf(b) - rankOf(a) || turnsOf(a, turns) - turnsOf(b, turns) || a.lastBegun - b.lastBegun;
    return ready.toSorted(order)[0];
  }

  function giveOut(): void {
    for (let line = nextLine(); line !== undefined; line = nextLine()) begin(line);
    for (const turn of running) turn.call?.();
  }

  function begin(line: OpenLine): void {
    const turn: RunningTurn = { line, isOver: false, call: undefined };
    running.add(turn);
    line.lastBegun = ++begun;
    const isOver = () => (turn.isOver ||= shouldEnd(turn));
    const onCall = (listener: () => void) => void (turn.call = listener);
    const end = () => {
      running.delete(turn);
      giveOut();
    };
    [...line.takers].find((taker) => taker.waiting > 0)?.begin({ isOver, onCall }, end);
  }

  /**
   * Whether its end would let one begin that goes before it and has no turn coming. Also when there
   * are too many: then even no claims are more than the room.
   */
  function shouldEnd({ line }: RunningTurn): boolean {
    // Those that were told to end count as ended.
    const turns = [...running].filter((turn) => !turn.isOver);
    const claims = new Map<string, number>();
    for (const other of lines) {
      const before = claims.get(other.provider) ?? 0;
      claims.set(other.provider, before + claimOf(other, line, turns));
    }
    if ((claims.get(line.provider) ?? 0) > roomAt(line.provider, turns)) return true;
    const usable = [...claims].map(([provider, count]) =>
      Math.min(count, Math.max(0, roomAt(provider, turns))),
    );
    return usable.reduce((sum, count) => sum + count, 0) > roomInAll(turns);
  }

  return {
    openLine(options) {
      const line: OpenLine = { ...options, takers: new Set(), lastBegun: 0 };
      return {
        add: (taker) => {
          lines.add(line);
          line.takers.add(taker);
          giveOut();
        },
        remove: (taker) => {
          line.takers.delete(taker);
          if (line.takers.size === 0) lines.delete(line);
        },
      };
    },
    configure(changed) {
      limits = changed;
      giveOut();
    },
  };
}

function waitingOf({ takers }: OpenLine): number {
  return [...takers].reduce((sum, { waiting }) => sum + waiting, 0);
}

function rankOf({ priority }: OpenLine): number {
  return priorities.indexOf(priority());
}

function turnsOf(line: OpenLine, turns: readonly RunningTurn[]): number {
  return turns.filter((turn) => turn.line === line).length;
}

/** How many turns of `line` should go to `other`. */
function claimOf(other: OpenLine, line: OpenLine, turns: readonly RunningTurn[]): number {
  const waiting = waitingOf(other);
  const difference = rankOf(other) - rankOf(line);
  if (difference !== 0) return difference > 0 ? waiting : 0;
  return turnsOf(other, turns) === 0 && turnsOf(line, turns) > 1 ? Math.min(1, waiting) : 0;
}
