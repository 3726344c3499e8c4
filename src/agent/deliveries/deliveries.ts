import { describeFault, type Log } from "../../core/log.ts";
import { selectionKey } from "../../core/selection.ts";
import type { ErrorDocument } from "../api/documents.ts";
import { describeError } from "../api/error-document.ts";
import type { Bring } from "./bring.ts";
import {
  type Awaited,
  createDelivery,
  type Delivery,
  type Want,
  type WantedModel,
} from "./delivery.ts";

/** All models on their way. */
export interface Deliveries extends AsyncDisposable {
  /** Has a model brought, or joins who has it brought already. See `Delivery.wait`. */
  want(model: WantedModel, want: Want): Awaited;
  /** Takes a want back, wherever it was. Idempotent. */
  drop(wantId: string): void;
  readonly active: () => readonly Delivery[];
  /** What ended the last delivery of each model, where it failed, by `repository@digest`. */
  readonly failures: ReadonlyMap<string, ErrorDocument>;
}

const maxFailures = 256;

/** `log` hears of what failed. */
export function createDeliveries(bring: Bring, log: Log): Deliveries {
  const active = new Map<string, Delivery>();
  const failures = new Map<string, ErrorDocument>();

  function begin(key: string, model: WantedModel): Delivery {
    const delivery = createDelivery(model, async (wanted, options) => {
      try {
        const ready = await bring(wanted, options);
        failures.delete(model.name);
        return ready;
      } catch (error) {
        if (options.signal?.aborted !== true) note(model.name, error);
        throw error;
      }
    });
    active.set(key, delivery);
    void delivery.ended.then(() => {
      if (active.get(key) === delivery) active.delete(key);
    });
    return delivery;
  }

  function note(name: string, error: unknown): void {
    const described = describeError(error);
    log("delivery failed", { model: name, error: describeFault(error) });
    failures.delete(name);
    failures.set(name, described);
    const [oldest] = failures.size > maxFailures ? failures.keys() : [];
    if (oldest !== undefined) failures.delete(oldest);
  }

  return {
    failures,
    active: () => [...active.values()],
    want: (model, want) => {
      const key = keyOf(model);
      const known = active.get(key);
      const delivery = known === undefined || known.isOver() ? begin(key, model) : known;
      return { delivery, done: delivery.wait(want) };
    },
    drop: (wantId) => {
      for (const delivery of active.values()) delivery.drop(wantId);
    },
    [Symbol.asyncDispose]: async () => {
      const all = [...active.values()];
      for (const each of all) each.stop();
      await Promise.all(all.map((each) => each.ended));
    },
  };
}

function keyOf(model: WantedModel): string {
  return `${model.name} ${selectionKey(model)}`;
}
