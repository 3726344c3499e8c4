import type { Digest } from "../../core/digest.ts";
import { isModelError, ModelError } from "../../core/errors.ts";
import type { ProgressEvent } from "../../core/progress.ts";
import type { Reference } from "../../core/reference.ts";
import type { Selection } from "../../core/selection.ts";
import type { ConnectionOptions } from "../../model/connection.ts";
import { type Priority, priorities } from "../../transfer/turn-queue.ts";
import type { ModelProgress, ReadyModel } from "../api/documents.ts";
import type { Bring } from "./bring.ts";
import { createMeter } from "./meter.ts";

/** A model, or the chosen files of one, by digest. */
export interface WantedModel extends Selection {
  readonly reference: Reference;
  readonly digest: Digest;
  /** `repository@sha256:...` */
  readonly name: string;
}

/** Somebody who wants a delivery, and how the registry lets them in. */
export interface Want {
  /** A lease's, or one of its own. */
  readonly id: string;
  readonly priority: Priority;
  readonly connection: ConnectionOptions;
}

/** One model on its way into the store, for everybody who wants it. */
export interface Delivery {
  readonly model: WantedModel;
  /**
   * Resolves when it is here. Rejects for all when it fails, for one when only they are not let in.
   * Not to be called once it is over.
   */
  wait(want: Want): Promise<ReadyModel>;
  /** Takes a want back: its wait is CANCELLED. What nobody wants any more ends. Idempotent. */
  drop(wantId: string): void;
  /** Ends it for all who wait: CANCELLED. Idempotent. */
  stop(): void;
  /** Nobody can join any more. */
  readonly isOver: () => boolean;
  readonly progress: () => ModelProgress;
  /** Resolves, never rejects, when nothing goes on any more. */
  readonly ended: Promise<void>;
}

/** A delivery that somebody has joined. */
export interface Awaited {
  readonly delivery: Delivery;
  readonly done: Promise<ReadyModel>;
}

interface Waiting extends PromiseWithResolvers<ReadyModel> {
  readonly want: Want;
}

/** Begins as soon as somebody wants it; `bring` does the work, again for another when one is refused. */
export function createDelivery(model: WantedModel, bring: Bring): Delivery {
  const waiting = new Map<string, Waiting>();
  const stop = new AbortController();
  const ended = Promise.withResolvers<void>();
  const counts = createCounts(model.name);
  let begun = false;
  let over = false;

  const first = (): Waiting | undefined => [...waiting.values()].sort(mostUrgentFirst)[0];

  async function run(): Promise<void> {
    try {
      // Who asks next may have joined within this turn.
      await Promise.resolve();
      while (waiting.size > 0 && !(await tryOnce())) counts.reset();
    } finally {
      over = true;
      ended.resolve();
    }
  }

  /** True when it ended for all. */
  async function tryOnce(): Promise<boolean> {
    const chosen = first();
    if (chosen === undefined) return true;
    const { connection, id } = chosen.want;
    // One that joins makes all of it more urgent.
    const priority = () => first()?.want.priority ?? chosen.want.priority;
    try {
      const { signal } = stop;
      const ready = await bring(model, { connection, signal, priority, onProgress: counts.note });
      settle((each) => each.resolve(ready));
      return true;
    } catch (error) {
      const isTheirs = isModelError(error, "UNAUTHORIZED", "FORBIDDEN", "NOT_FOUND");
      if (isTheirs && waiting.size > 1) {
        waiting.get(id)?.reject(error);
        waiting.delete(id);
        return false;
      }
      settle((each) => each.reject(error));
      return true;
    }
  }

  function settle(how: (each: Waiting) => void): void {
    over = true;
    const all = [...waiting.values()];
    waiting.clear();
    for (const each of all) how(each);
  }

  function cancel(): void {
    const reason = new ModelError("CANCELLED", `${model.name} is not wanted here any more`);
    settle((each) => each.reject(reason));
    stop.abort(reason);
  }

  return {
    model,
    progress: counts.read,
    isOver: () => over,
    stop: cancel,
    ended: ended.promise,
    wait: (want) => {
      const known = waiting.get(want.id);
      if (known !== undefined) return known.promise;
      const entry: Waiting = { ...Promise.withResolvers<ReadyModel>(), want };
      // A lease's want may have nobody who listens.
      entry.promise.catch(() => undefined);
      waiting.set(want.id, entry);
      if (!begun) {
        begun = true;
        void run();
      }
      return entry.promise;
    },
    drop: (wantId) => {
      const entry = waiting.get(wantId);
      if (entry === undefined) return;
      if (waiting.size === 1) return cancel();
      waiting.delete(wantId);
      entry.reject(new ModelError("CANCELLED", `${model.name} is wanted by others only`));
    },
  };
}

function mostUrgentFirst(one: Waiting, other: Waiting): number {
  return priorities.indexOf(other.want.priority) - priorities.indexOf(one.want.priority);
}

/** Adds up what a pull reports. */
function createCounts(name: string) {
  let [total, here] = [0, 0];
  let state: ModelProgress["state"] = "waiting";
  let meter = createMeter();
  return {
    note: (event: ProgressEvent): void => {
      if (event.type === "start") [total, here, state] = [event.totalBytes, 0, "pulling"];
      if (event.type !== "bytes") return;
      here += event.bytes;
      if (event.how === "moved") meter.add(event.bytes);
      if (here >= total) state = "finishing";
    },
    reset: (): void => {
      [total, here, state] = [0, 0, "waiting"];
      meter = createMeter();
    },
    read: (): ModelProgress => {
      const bytesPerSecond = Math.round(meter.bytesPerSecond());
      const left = Math.max(0, total - here);
      const secondsLeft =
        state !== "pulling" || bytesPerSecond === 0 ? null : Math.ceil(left / bytesPerSecond);
      const hereBytes = Math.max(0, Math.min(here, total));
      return { name, state, totalBytes: total, hereBytes, bytesPerSecond, secondsLeft };
    },
  };
}
