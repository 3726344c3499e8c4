import type { Abortable } from "../../core/progress.ts";
import { unlessAborted } from "../../core/unless-aborted.ts";
import type { LayoutIndex } from "./layout-index.ts";

/** So that the lock is not held for long. */
const maxTogether = 64;

/** One change of an index. */
export interface IndexChange extends Abortable {
  /** Makes the next index of the last one; the same when there is nothing to change. */
  readonly edit: (index: LayoutIndex) => LayoutIndex | Promise<LayoutIndex>;
  /** Runs once the edit is durable, before any other edit. */
  readonly afterwards?: (() => Promise<void>) | undefined;
}

/** Where the changes go. */
export interface IndexAccess {
  /** Runs work while nobody else changes the index. */
  alone(work: () => Promise<void>, options: Abortable): Promise<void>;
  read(): Promise<LayoutIndex>;
  /** Replaces it, durably. */
  write(index: LayoutIndex): Promise<void>;
}

interface Waiting {
  readonly change: IndexChange;
  readonly done: PromiseWithResolvers<void>;
}

/**
 * Changes of one index in the order they come. Those that wait at the same time are written together:
 * the file is written whole for each write, and synced.
 */
export class IndexChanges {
  readonly #access: IndexAccess;
  readonly #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;
  #stop = new AbortController();

  constructor(access: IndexAccess) {
    this.#access = access;
  }

  /** Resolves once the change is durable; an abort takes it back as long as it waits. */
  async make(change: IndexChange): Promise<void> {
    const { signal } = change;
    signal?.throwIfAborted();
    const done = Promise.withResolvers<void>();
    this.#waiting.push({ change, done });
    const leave = () => {
      if (this.#waiting.every((other) => other.change.signal?.aborted)) this.#stop.abort();
    };
    signal?.addEventListener("abort", leave, { once: true });
    this.#running ??= this.#run();
    try {
      await unlessAborted(done.promise, signal);
    } finally {
      signal?.removeEventListener("abort", leave);
    }
  }

  /** Waits until no change is under way, also none whose caller has left. */
  async settle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      this.#stop = new AbortController();
      const taken: Waiting[] = [];
      try {
        await this.#access.alone(() => this.#together(taken), { signal: this.#stop.signal });
        for (const { done } of taken) done.resolve();
      } catch (error) {
        const failed = taken.length > 0 ? taken : this.#leavers();
        for (const { done } of failed) done.reject(error);
      }
    }
    this.#running = undefined;
  }

  /** Who gets to hear that the index could not be had: all, or those who left while they waited. */
  #leavers(): Waiting[] {
    const isGone = ({ change }: Waiting) => change.signal?.aborted === true;
    if (!this.#stop.signal.aborted) return this.#waiting.splice(0);
    const all = this.#waiting.splice(0);
    this.#waiting.push(...all.filter((each) => !isGone(each)));
    return all.filter(isGone);
  }

  /** Leaves in `taken` those whose change is made by the write. */
  async #together(taken: Waiting[]): Promise<void> {
    const before = await this.#access.read();
    let index = before;
    while (taken.length < maxTogether) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      const after = await tryEdit(next, index);
      if (after === undefined) continue;
      index = after;
      taken.push(next);
      // No later edit may count on what it is about to take away.
      if (next.change.afterwards !== undefined) break;
    }
    if (index !== before) await this.#access.write(index);
    await taken.at(-1)?.change.afterwards?.();
  }
}

async function tryEdit(
  { change, done }: Waiting,
  index: LayoutIndex,
): Promise<LayoutIndex | undefined> {
  try {
    change.signal?.throwIfAborted();
    return await change.edit(index);
  } catch (error) {
    done.reject(error);
    return undefined;
  }
}
