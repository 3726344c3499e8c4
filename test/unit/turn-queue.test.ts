import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  createTurnQueue,
  type Priority,
  priorities,
  type Turn,
} from "../../src/transfer/turn-queue.ts";
import { createTurnModel } from "../support/turn-model.ts";

const wide = { connections: 100, connectionsPerProvider: 100 };

/** Lines of work of which every turn is kept until it is ended. */
function openTurns(limits: { connections: number; connectionsPerProvider: number }) {
  const queue = createTurnQueue(limits);
  const turns: { name: string; turn: Turn; end: () => void }[] = [];
  const add = (
    name: string,
    count: number,
    { provider = "a", priority = "mount" }: { provider?: string; priority?: Priority } = {},
  ) => {
    const asked = { priority };
    const line = queue.openLine({ provider, priority: () => asked.priority });
    const taker = {
      waiting: count,
      begin: (turn: Turn, end: () => void) => {
        taker.waiting -= 1;
        turns.push({ name, turn, end });
      },
    };
    line.add(taker);
    return { asked, line, taker };
  };
  const end = (name: string) => {
    const at = turns.findIndex((each) => each.name === name);
    turns.splice(at, 1)[0]?.end();
  };
  const names = () => turns.map(({ name }) => name).join(" ");
  const over = () => turns.filter(({ turn }) => turn.isOver()).map(({ name }) => name);
  return { queue, add, end, names, over, turns };
}

describe("a free connection", () => {
  test("goes to a blocked read, then to a waiting mount, then to a prefetch", () => {
    const { add, end, names } = openTurns({ ...wide, connections: 1 });
    add("first", 1);
    for (const priority of priorities) add(priority, 1, { priority });
    expect(names()).toBe("first");
    end("first");
    expect(names()).toBe("read");
    end("read");
    expect(names()).toBe("mount");
    end("mount");
    expect(names()).toBe("prefetch");
  });

  test("goes by turns to transfers of the same priority, however much each has to do", () => {
    const { add, end, names } = openTurns({ ...wide, connections: 1 });
    add("huge", 1000);
    add("small", 2);
    add("other", 1000);
    const order: string[] = [];
    for (let count = 0; count < 8; count += 1) {
      order.push(names());
      end(names());
    }
    expect(order.join(" ")).toBe("huge small other huge small other huge other");
  });

  test("goes to the transfer with the fewest", () => {
    const { add, end, names } = openTurns({ ...wide, connections: 3 });
    add("slow", 10);
    add("quick", 10);
    expect(names()).toBe("slow slow slow");
    end("slow");
    expect(names()).toBe("slow slow quick");
    end("quick");
    expect(names()).toBe("slow slow quick");
    end("slow");
    expect(names()).toBe("slow quick slow");
  });

  test("does not go over what one provider may have, nor wait for it", () => {
    const { add, end, names } = openTurns({ connections: 3, connectionsPerProvider: 2 });
    add("a", 3, { priority: "read" });
    add("b", 3, { provider: "b", priority: "prefetch" });
    expect(names()).toBe("a a b");
    end("b");
    expect(names()).toBe("a a b");
    end("a");
    expect(names()).toBe("a b a");
  });
});

describe("a turn is over", () => {
  test("when work of higher priority waits, for as many as wait", () => {
    const { add, over } = openTurns({ ...wide, connections: 4 });
    add("prefetch", 10, { priority: "prefetch" });
    expect(over()).toEqual([]);
    add("mount", 2);
    expect(over()).toEqual(["prefetch", "prefetch"]);
    add("read", 1, { priority: "read" });
    expect(over()).toEqual(["prefetch", "prefetch", "prefetch"]);
  });

  test("when a transfer of the same priority has none and this one several, but for one only", () => {
    const { add, end, names, over } = openTurns({ ...wide, connections: 3 });
    add("huge", 10);
    add("small", 10);
    expect(over()).toEqual(["huge"]);
    end("huge");
    expect(names()).toBe("huge huge small");
    add("third", 10);
    expect(over()).toEqual(["huge"]);
    end("huge");
    add("fourth", 10);
    expect(over()).toEqual([]);
  });

  test("only when its end lets the other begin", () => {
    const { add, over, turns } = openTurns({ connections: 4, connectionsPerProvider: 2 });
    add("a", 2, { priority: "prefetch" });
    add("b", 2, { provider: "b", priority: "prefetch" });
    add("waiting", 1, { provider: "b" });
    expect(turns.filter(({ name }) => name === "a").some(({ turn }) => turn.isOver())).toBe(false);
    expect(over()).toEqual(["b"]);
  });

  test("when a limit was lowered below what is under way", () => {
    const { queue, add, end, names, over } = openTurns({ ...wide, connections: 4 });
    add("a", 10);
    queue.configure({ ...wide, connections: 2 });
    expect(over()).toEqual(["a", "a"]);
    end("a");
    end("a");
    expect(names()).toBe("a a");
    end("a");
    expect(names()).toBe("a a");
    queue.configure({ connections: 3, connectionsPerProvider: 1 });
    expect(over()).toEqual(["a"]);
    queue.configure({ ...wide, connections: 5 });
    expect(names()).toBe("a a a a a");
  });

  test("by what the priority is when it asks", () => {
    const { add, over } = openTurns({ ...wide, connections: 1 });
    const { asked } = add("joined", 1, { priority: "prefetch" });
    add("mount", 1);
    asked.priority = "mount";
    expect(over()).toEqual([]);
    asked.priority = "prefetch";
    expect(over()).toEqual(["joined"]);
  });

  test("and hears when that may have changed", () => {
    const { queue, add, turns } = openTurns({ ...wide, connections: 1 });
    add("prefetch", 1, { priority: "prefetch" });
    const heard: boolean[] = [];
    turns[0]?.turn.onCall(() => heard.push(turns[0]?.turn.isOver() ?? false));
    queue.configure({ ...wide, connections: 1 });
    const { line, taker } = add("mount", 1);
    line.remove(taker);
    expect(heard).toEqual([false, true]);
  });
});

test("a line that is left takes no more turns, and ending a turn twice frees one", () => {
  const { add, end, names, turns } = openTurns({ ...wide, connections: 1 });
  add("a", 1);
  const { line, taker } = add("b", 5);
  add("c", 5);
  line.remove(taker);
  const [first] = turns;
  end("a");
  first?.end();
  expect(names()).toBe("c");
});

const lineArbitrary = fc.record({
  provider: fc.constantFrom("a", "b", "c"),
  priority: fc.constantFrom(...priorities),
  waiting: fc.integer({ min: 1, max: 6 }),
});
const limitsArbitrary = fc.record({
  connections: fc.integer({ min: 1, max: 6 }),
  connectionsPerProvider: fc.integer({ min: 1, max: 4 }),
});
const step = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant("open" as const), line: lineArbitrary }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("end" as const), at: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("ask" as const), at: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("leave" as const), at: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("change" as const),
      at: fc.nat(),
      priority: fc.constantFrom(...priorities),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant("limit" as const), limits: limitsArbitrary }),
  },
);

describe("whatever happens", () => {
  test("each turn goes where the simple model says, and no free one is lost", () => {
    fc.assert(
      fc.property(limitsArbitrary, fc.array(step, { maxLength: 80 }), (limits, steps) => {
        const model = createTurnModel(limits);
        for (const each of steps) model.take(each);
        expect(model.drain()).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  test("a transfer without a connection gets one before any other gets a second", () => {
    const counts = fc.record({
      connections: fc.integer({ min: 1, max: 8 }),
      lines: fc.integer({ min: 2, max: 8 }),
      ends: fc.array(fc.nat(), { minLength: 1, maxLength: 100 }),
    });
    fc.assert(
      fc.property(counts, ({ connections, lines, ends }) => {
        const { add, turns } = openTurns({ ...wide, connections });
        const names = Array.from({ length: lines }, (_, number) => `line ${number}`);
        for (const name of names) add(name, 10_000);
        const missed = new Map(names.map((name) => [name, 0]));
        for (const at of ends) {
          turns.splice(at % turns.length, 1)[0]?.end();
          const having = new Set(turns.map(({ name }) => name));
          for (const name of names)
            missed.set(name, having.has(name) ? 0 : (missed.get(name) ?? 0) + 1);
          expect(Math.max(...missed.values())).toBeLessThan(lines);
        }
      }),
    );
  });
});
