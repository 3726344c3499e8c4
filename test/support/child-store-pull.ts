import { writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { systemCode } from "../../src/core/errors.ts";
import { openStore } from "../../src/store/store.ts";
import { killSourceName, makeKillModel } from "./store-kill-model.ts";
import { pullModel, serveModels } from "./store-models.ts";

/**
 * Pulls a known model into the store at the first argument, with the pause of the second before
 * each piece (ms), and writes a dot for each piece. With a third argument it leaves the store open.
 */
const [, , root = "", pauseMs = "0", leaveOpen] = process.argv;
const model = makeKillModel();
const source = serveModels(killSourceName, [model], {
  onPiece: async () => {
    sayAlive();
    if (pauseMs !== "0") await sleep(Number(pauseMs));
  },
});
const store = await openStore(root);
await pullModel(store, model, { source, connections: 2 });
if (leaveOpen === undefined) await store[Symbol.asyncDispose]();

/** A pipe that nobody reads any more is full some time. */
function sayAlive(): void {
  try {
    writeSync(1, ".");
  } catch (error) {
    if (systemCode(error) !== "EAGAIN") throw error;
  }
}
