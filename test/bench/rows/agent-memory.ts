import { readdir } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { socketPath } from "../../../src/agent/api/routes.ts";
import { createAgentClient } from "../../../src/agent/client/client.ts";
import { startAgentProcess } from "../../support/agent-process.ts";
import { type Bench, defineStage, type Row, type Stage } from "../bench.ts";
import { whyNoNode } from "../measure/node-rights.ts";
import { readResidentMemory } from "../measure/resident-memory.ts";
import type { Entry, Fact, Settings } from "../results.ts";
import { NoRoom, openRoomyFolder, roomFor } from "../roomy-folder.ts";
import { startMadeUpRegistry } from "../servers/made-up-registry.ts";
import { cpuSecondsOf } from "../servers/running-server.ts";
import { repositories } from "./peers.ts";

interface Size {
  readonly label: string;
  readonly bytes: number;
}

/** What is pulled to see whether memory grows. */
function sizesOf({ smoke }: Settings): Size[] {
  if (smoke) return [64, 256].map((mebi) => ({ label: `${mebi} MiB`, bytes: mebi * 2 ** 20 }));
  return [2, 8].map((gibi) => ({ label: `${gibi} GiB`, bytes: gibi * 2 ** 30 }));
}

/** Without work; longer than threads are kept. */
function idleMs({ smoke }: Settings): number {
  return smoke ? 3_000 : 60_000;
}

const agentMemory: Row<AsyncDisposable> = {
  id: "agent-memory",
  title: "resident memory of the agent, while it pulls and idle after it",
  measure: async (_, bench) => {
    const refusal = whyNoNode();
    if (refusal !== undefined) return { entries: [], skipped: refusal };
    const entries: Entry[] = [];
    const facts: Fact[] = [];
    const skipped: string[] = [];
    for (const size of sizesOf(bench.settings))
      try {
        const found = await measurePull(bench, size);
        entries.push(found.entry);
        facts.push(...found.facts);
      } catch (error) {
        if (!(error instanceof NoRoom)) throw error;
        skipped.push(`${size.label}: ${error.message}`);
      }
    return { entries, facts, ...(skipped.length === 0 ? {} : { skipped: skipped.join("; ") }) };
  },
};

/** Lets a fresh agent pull a made-up model, and then do nothing. */
async function measurePull(bench: Bench, { label, bytes }: Size) {
  await using roomy = await openRoomyFolder(bench, bytes);
  await using server = await startMadeUpRegistry({ bytes, redirect: false });
  await using agent = await startAgentProcess(roomy.path, [], bench.ballast.program);
  const { pid } = agent.process;
  const atStart = await readResidentMemory(pid);
  const mark = await server.log.mark();
  const client = createAgentClient(socketPath(agent.run, "admin"));
  const reference = `${server.host}/${repositories.ours}:v1`;
  const [own, theirs] = [cpuSecondsOf([pid]), server.cpuSeconds()];
  const started = performance.now();
  await client.prefetch({ reference }, bench);
  const seconds = (performance.now() - started) / 1000;
  const { peakBytes } = await readResidentMemory(pid);
  const run = {
    seconds,
    cpuSeconds: cpuSecondsOf([pid]) - own,
    peakBytes,
    serverSeconds: server.cpuSeconds() - theirs,
    ...(await server.log.since(mark)),
  };
  bench.print(`  ${label}: ${seconds.toFixed(1)} s, ${Math.round(peakBytes / 2 ** 20)} MiB`);
  await delay(idleMs(bench.settings), undefined, { signal: bench.signal });
  const idle = await readResidentMemory(pid);
  const threads = (await readdir(`/proc/${pid}/task`)).length;
  const fact = (id: string, what: string, value: number, unit: Fact["unit"]): Fact => {
    return { id: `${id} ${label}`, label: `${label}: ${what}`, value, unit };
  };
  const facts = [
    fact("start", "at the start", atStart.bytes, "bytes"),
    fact("idle", `${idleMs(bench.settings) / 1000} s after the pull`, idle.bytes, "bytes"),
    fact("threads", "threads then", threads, "count"),
  ];
  const entry: Entry = { client: label, role: "ours", runs: [run] };
  return { entry, facts };
}

/** The agent's process itself. */
export const agentStage: Stage = defineStage({
  prepare: async () => new AsyncDisposableStack(),
  dataBytes: (settings) => Math.max(...sizesOf(settings).map(({ bytes }) => roomFor(bytes))),
  rows: [agentMemory],
});
