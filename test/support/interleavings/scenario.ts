import fc from "fast-check";
import { targets } from "./catalogue.ts";
import type { SelectionName } from "./visible.ts";

/** What goes wrong with a pull: its source ends, its caller stops it, one piece or all come wrong. */
type Fault = "none" | "cut" | "abort" | "one wrong" | "all wrong";

export type Operation =
  | {
      readonly do: "pull";
      readonly target: number;
      readonly selection: SelectionName;
      readonly fault: Fault;
      /** Piece, or turn, at which it goes wrong. */
      readonly at: number;
      /** Turns for which the model stays mounted. */
      readonly hold: number;
    }
  | { readonly do: "mount"; readonly target: number; readonly hold: number }
  | { readonly do: "pin" | "unpin" | "remove"; readonly target: number }
  | { readonly do: "collect"; readonly bytes: number | undefined; readonly dryRun: boolean }
  | { readonly do: "evict for space" }
  | { readonly do: "list" };

/** An operation that begins so many turns after the one before it. */
interface Step {
  readonly after: number;
  readonly operation: Operation;
}

/** Operations that overlap, and what ends them. */
export interface Round {
  readonly steps: readonly Step[];
  /** `rest` and `restart` wait for all; `crash` does not, so many turns after the last step. */
  readonly end: "rest" | "restart" | "crash";
  readonly after: number;
}

const target = fc.nat({ max: targets.length - 1 });
const hold = fc.oneof(fc.constant(0), fc.nat({ max: 150 }));

const operation: fc.Arbitrary<Operation> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant("pull"),
      target,
      selection: fc.constantFrom("all", "all", "some"),
      fault: fc.constantFrom("none", "none", "none", "cut", "abort", "one wrong", "all wrong"),
      at: fc.nat({ max: 30 }),
      hold,
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("mount"), target, hold }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom("remove", "remove", "pin", "unpin"), target }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant("collect"),
      bytes: fc.option(fc.nat({ max: 60_000 }), { nil: undefined }),
      dryRun: fc.constantFrom(false, false, false, true),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("evict for space") }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("list") }) },
);

const round: fc.Arbitrary<Round> = fc
  .record({
    steps: fc.array(
      fc.record({ after: fc.oneof(fc.nat({ max: 3 }), fc.nat({ max: 40 })), operation }),
      { minLength: 1, maxLength: 8, size: "max" },
    ),
    end: fc.constantFrom("rest", "rest", "crash", "crash", "restart"),
    after: fc.nat({ max: 120 }),
    // A few at a time, so that operations meet.
    among: fc.uniqueArray(target, { minLength: 1, maxLength: 3 }),
  })
  .map(({ among, steps, ...rest }) => ({
    ...rest,
    steps: steps.map(({ after, operation: { ...operation } }) => {
      if ("target" in operation)
        return {
          after,
          operation: { ...operation, target: among[operation.target % among.length] ?? 0 },
        };
      return { after, operation };
    }),
  }));

/** Rounds on one store. */
export const scenario: fc.Arbitrary<Round[]> = fc.array(round, {
  minLength: 1,
  maxLength: 18,
  size: "max",
});
