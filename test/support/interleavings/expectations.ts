import type { Target } from "./catalogue.ts";
import type { SelectionName } from "./visible.ts";

/** What keeps a model from being removed, from when it surely began until it may have ended. */
export interface Protection {
  readonly target: number;
  readonly of: "lease" | "pin";
}

/** How things stood when a removal began. */
export interface Before {
  readonly protections: ReadonlySet<Protection>;
  /** By target: operations begun so far, and under way, that may protect it. */
  readonly begun: readonly number[];
  readonly active: readonly number[];
  /** By target: pulls, which may bring it back. */
  readonly pulls: readonly number[];
  readonly pulling: readonly number[];
  /** Targets that are pinned, or may be. */
  readonly pinned: ReadonlySet<number>;
}

/** What must be true of a store whose operations overlap: kept beside it, from what they answered. */
export class Expectations {
  readonly #protections = new Set<Protection>();
  readonly #begun: number[] = [];
  readonly #active: number[] = [];
  readonly #pulls: number[] = [];
  readonly #pulling: number[] = [];
  /** Models and selections that were pulled and not removed since. */
  readonly #sure = new Map<number, Set<SelectionName>>();
  /** Undefined while a change is under way, or where a crash ended it. */
  readonly #pinned = new Map<number, boolean | undefined>();

  /** An operation that may protect a target begins; it ends with the returned disposable. */
  begin({ number }: Target): Disposable {
    this.#begun[number] = (this.#begun[number] ?? 0) + 1;
    this.#active[number] = (this.#active[number] ?? 0) + 1;
    return {
      [Symbol.dispose]: () => {
        this.#active[number] = (this.#active[number] ?? 0) - 1;
      },
    };
  }

  /** The same for a pull. */
  beginPull(target: Target): Disposable {
    const { number } = target;
    const begun = this.begin(target);
    this.#pulls[number] = (this.#pulls[number] ?? 0) + 1;
    this.#pulling[number] = (this.#pulling[number] ?? 0) + 1;
    return {
      [Symbol.dispose]: () => {
        begun[Symbol.dispose]();
        this.#pulling[number] = (this.#pulling[number] ?? 0) - 1;
      },
    };
  }

  protect({ number }: Target): Protection & Disposable {
    const protection = {
      target: number,
      of: "lease" as const,
      [Symbol.dispose]: () => void this.#protections.delete(protection),
    };
    this.#protections.add(protection);
    return protection;
  }

  pulled({ number }: Target, selection: SelectionName): void {
    const selections = this.#sure.get(number) ?? new Set();
    this.#sure.set(number, selections.add(selection));
  }

  /** The selections of a target that must be there. */
  surely({ number }: Target): ReadonlySet<SelectionName> {
    return this.#sure.get(number) ?? new Set();
  }

  /** Whether a target is pinned; undefined when that is open. */
  pinned({ number }: Target): boolean | undefined {
    return this.#pinned.has(number) ? this.#pinned.get(number) : false;
  }

  setPinned({ number }: Target, pinned: boolean | undefined): void {
    this.#pinned.set(number, pinned);
    for (const each of this.#protections)
      if (each.target === number && each.of === "pin") this.#protections.delete(each);
    if (pinned === true) this.#protections.add({ target: number, of: "pin" });
  }

  before(): Before {
    return {
      protections: new Set(this.#protections),
      begun: [...this.#begun],
      active: [...this.#active],
      pulls: [...this.#pulls],
      pulling: [...this.#pulling],
      pinned: new Set([...this.#pinned.keys()].filter((each) => this.#pinned.get(each) !== false)),
    };
  }

  /** Removed by an operation that began `before`. Throws when it was protected all the while. */
  removed({ number, origin, model }: Target, before: Before): void {
    if (this.stayedProtected({ number }, before))
      throw new Error(`removed under a lease or pin: ${origin.name}@${model.manifest}`);
    this.#sure.delete(number);
    // Of a change that is under way its own end tells.
    if (this.#pinned.get(number) !== true) return;
    const again =
      (before.pulling[number] ?? 0) > 0 ||
      (before.pulls[number] ?? 0) !== (this.#pulls[number] ?? 0);
    if (!again) throw new Error(`removed after it was pinned: ${origin.name}@${model.manifest}`);
    // Removed, pulled again, pinned: in this order, or it would still be there.
  }

  /** Whether one and the same thing has protected a target since `before`, all the while. */
  stayedProtected({ number }: Pick<Target, "number">, before: Before): boolean {
    return [...before.protections].some(
      (each) => each.target === number && this.#protections.has(each),
    );
  }

  /** Whether something may have protected a target at some moment since `before`. */
  mayBeProtected({ number }: Target, before: Before): boolean {
    return (
      (before.active[number] ?? 0) > 0 ||
      (before.begun[number] ?? 0) !== (this.#begun[number] ?? 0) ||
      before.pinned.has(number) ||
      [...before.protections].some((each) => each.target === number)
    );
  }

  /** The process is gone: leases end, and what a removal was about to take is open. */
  crashed({ removing }: { readonly removing: boolean }): void {
    for (const each of this.#protections) if (each.of === "lease") this.#protections.delete(each);
    const kept = new Set([...this.#protections].map((each) => each.target));
    if (removing)
      for (const number of this.#sure.keys()) if (!kept.has(number)) this.#sure.delete(number);
  }
}
