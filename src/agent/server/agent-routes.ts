import { ModelError } from "../../core/errors.ts";
import { pause } from "../../core/pause.ts";
import { unlessAborted } from "../../core/unless-aborted.ts";
import { findModel, nameOf, upTo } from "../../model/stored-models.ts";
import { removeModelRecord } from "../../store/garbage.ts";
import { setPinned } from "../../store/pin.ts";
import type { Store } from "../../store/store.ts";
import {
  acquireSchema,
  collectionSchema,
  mountedSchema,
  pinSchema,
  prefetchSchema,
  removalSchema,
  withdrawalSchema,
} from "../api/documents.ts";
import { describeError } from "../api/error-document.ts";
import { routes } from "../api/routes.ts";
import type { Awaited } from "../deliveries/delivery.ts";
import type { Departures } from "../departures.ts";
import type { Prefetches } from "../prefetches.ts";
import { describeLease, type Status } from "../status.ts";
import { sweep } from "../sweep.ts";
import type { Volumes } from "../volumes.ts";
import type { Exchange } from "./exchange.ts";
import type { Route } from "./routing.ts";

export interface RouteMeans {
  readonly store: Store;
  readonly volumes: Volumes;
  readonly prefetches: Prefetches;
  readonly status: Status;
  readonly departures: Departures;
  /** OpenMetrics text. */
  readonly metrics: () => Promise<{ readonly type: string; readonly text: string }>;
  /** Whether what an earlier process left has been taken up. */
  readonly isReady: () => boolean;
}

/** How often progress is told, in milliseconds. */
const progressMs = 500;
const watchMs = 1000;
/** A look costs at most a twentieth of a core. */
const watchRest = 19;

/** All that an agent answers; docs/agent-api.md describes it. */
export function createAgentRoutes(means: RouteMeans): Route[] {
  const { store, volumes, prefetches, status, departures, metrics, isReady } = means;
  const everybody = ["mount", "locality", "admin"] as const;
  return [
    {
      method: "GET",
      path: routes.health,
      for: everybody,
      answer: async (exchange) => exchange.answer(200, { status: "ok" }),
    },
    {
      method: "GET",
      path: routes.readiness,
      for: everybody,
      answer: async (exchange) => {
        if (!isReady()) throw new ModelError("AGENT_UNAVAILABLE", "the agent is starting");
        exchange.answer(200, { status: "ready" });
      },
    },
    {
      method: "GET",
      path: routes.metrics,
      for: ["locality", "admin"],
      answer: async (exchange) => {
        const { type, text } = await metrics();
        exchange.answerText(type, text);
      },
    },
    {
      method: "POST",
      path: routes.volumes,
      for: ["mount", "admin"],
      answer: async (exchange) => {
        const request = await exchange.read(acquireSchema);
        await follow(exchange, await volumes.acquire(request, exchange));
      },
    },
    {
      method: "PUT",
      path: routes.volumes,
      for: ["mount", "admin"],
      answer: async (exchange) => {
        await volumes.retain(await exchange.read(mountedSchema), exchange);
        exchange.answer(204);
      },
    },
    {
      method: "GET",
      path: routes.volumes,
      for: ["mount", "admin"],
      answer: async (exchange) =>
        exchange.answer(200, { leases: store.keptLeases().map(describeLease) }),
    },
    {
      method: "DELETE",
      path: `${routes.volumes}/:id`,
      for: ["mount", "admin"],
      answer: async (exchange, id) => {
        await volumes.release(id);
        exchange.answer(204);
      },
    },
    {
      method: "POST",
      path: routes.prefetches,
      for: ["locality", "admin"],
      answer: async (exchange) => {
        const request = await exchange.read(prefetchSchema);
        if (exchange.url.searchParams.get("wait") === "false")
          exchange.answer(202, describeLease(await prefetches.begin(request, exchange)));
        else await follow(exchange, await prefetches.attend(request, exchange));
      },
    },
    {
      method: "DELETE",
      path: `${routes.prefetches}/:id`,
      for: ["locality", "admin"],
      answer: async (exchange, id) => {
        await prefetches.cancel(id);
        exchange.answer(204);
      },
    },
    {
      method: "PUT",
      path: routes.pins,
      for: ["admin"],
      answer: async (exchange) => {
        const { model, pinned } = await exchange.read(pinSchema);
        await setPinned(store, await findModel(store, model), pinned);
        exchange.answer(204);
      },
    },
    {
      method: "POST",
      path: routes.removals,
      for: ["admin"],
      answer: async (exchange) => {
        const { model } = await exchange.read(removalSchema);
        const record = await findModel(store, model);
        const remove = () => removeModelRecord(store, record, exchange);
        const freed = await departures.leave([record], remove, exchange);
        exchange.answer(200, { removed: [nameOf(record)], freed });
      },
    },
    {
      method: "POST",
      path: routes.collections,
      for: ["admin"],
      answer: async (exchange) => {
        const { maxBytes, dryRun } = await exchange.read(collectionSchema);
        const { signal } = exchange;
        const swept = await sweep(means, { watermarks: upTo(maxBytes), dryRun, signal });
        exchange.answer(200, { removed: swept.removed.map(nameOf), freed: swept.freedBytes });
      },
    },
    {
      method: "GET",
      path: routes.status,
      for: ["locality", "admin"],
      answer: async (exchange) => {
        const { searchParams } = exchange.url;
        if (searchParams.get("watch") !== "true") {
          exchange.answer(200, await status.read());
          return;
        }
        using _ = searchParams.get("tells") === "true" ? departures.follow() : undefined;
        await watch(exchange, { status, departures });
      },
    },
    {
      method: "PUT",
      path: routes.withdrawals,
      for: ["locality", "admin"],
      answer: async (exchange) => {
        const { digests } = await exchange.read(withdrawalSchema);
        departures.withdraw(digests);
        exchange.answer(204);
      },
    },
  ];
}

/** Tells progress until a delivery ends for this caller. */
async function follow(exchange: Exchange, { delivery, done }: Awaited): Promise<void> {
  using events = exchange.openEvents();
  const tell = () => events.send("progress", delivery.progress());
  const timer = setInterval(tell, progressMs);
  try {
    events.send("ready", await unlessAborted(done, exchange.signal));
  } catch (error) {
    events.send("failed", describeError(error));
  } finally {
    clearInterval(timer);
  }
}

/** Sends the status whenever it is another. Looks each second, or less often where that takes long. */
async function watch(
  exchange: Exchange,
  { status, departures }: Pick<RouteMeans, "status" | "departures">,
): Promise<void> {
  const { signal } = exchange;
  using events = exchange.openEvents();
  for (let last = ""; !signal.aborted; ) {
    const startedAt = performance.now();
    const announced = departures.announced();
    const content = await status.read();
    const text = JSON.stringify(content);
    if (text !== last) events.send("status", content);
    last = text;
    const tookMs = performance.now() - startedAt;
    await Promise.race([pause(Math.max(watchMs, watchRest * tookMs), signal), announced]);
  }
}
