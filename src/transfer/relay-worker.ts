import { parentPort } from "node:worker_threads";
import { answerQuestions } from "../core/worker-thread.ts";
import { createRangeFetcher } from "./socket/range-fetcher.ts";
import { type RelayOrder, type RunningRelay, startRelay } from "./socket/relay.ts";
import { createTrust } from "./socket/trust.ts";

/** What a relay thread is asked; `relay` numbers the relays of a thread. It tells of bytes sent. */
export type RelayQuestion =
  | { readonly type: "relay"; readonly relay: number; readonly order: RelayOrder }
  | { readonly type: "stop"; readonly relay: number };

/** The status of the target's answer; undefined where it came to nothing. */
export type RelayAnswer = number | undefined;

/** Bytes are told of when there are this many (4 MiB) or now and then, */
const toldBytes = 4_194_304;
/** in milliseconds. */
const toldMs = 100;

const running = new Map<number, RunningRelay>();
const trust = createTrust();
const means = { trust, fetcher: createRangeFetcher(trust) };

answerQuestions<RelayQuestion, RelayAnswer, number>(parentPort, async (question, tell) => {
  if (question.type === "stop") {
    running.get(question.relay)?.stop();
    return undefined;
  }
  let untold = 0;
  let toldAt = performance.now();
  const relay = startRelay(question.order, means, (bytes) => {
    untold += bytes;
    const now = performance.now();
    if (untold < toldBytes && now - toldAt < toldMs) return;
    tell(untold);
    [untold, toldAt] = [0, now];
  });
  running.set(question.relay, relay);
  try {
    return await relay.ended;
  } finally {
    running.delete(question.relay);
    if (untold > 0) tell(untold);
  }
});
