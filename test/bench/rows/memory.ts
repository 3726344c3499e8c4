import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Bench, defineStage, type Measured, type Row, type Stage } from "../bench.ts";
import { ballastClient } from "../clients/ballast.ts";
import type { Contestant } from "../measure/contestant.ts";
import { runRounds } from "../measure/rounds.ts";
import { writeSparseModel } from "../models/sparse-model.ts";
import { removeFolder } from "../remove-folder.ts";
import type { Entry, Settings } from "../results.ts";
import { NoRoom, openRoomyFolder, roomFor } from "../roomy-folder.ts";
import { type MadeUpRegistry, startMadeUpRegistry } from "../servers/made-up-registry.ts";
import { makeHome, repositories } from "./peers.ts";

const gibi = 2 ** 30;

interface Size {
  readonly label: string;
  readonly bytes: number;
}

/** What is pushed and pulled to see whether memory grows. */
function sizesOf({ smoke, huge }: Settings): Size[] {
  if (smoke) return [64, 256].map((mebi) => ({ label: `${mebi} MiB`, bytes: mebi * 2 ** 20 }));
  const sizes = huge ? [1, 8, 200] : [1, 8];
  return sizes.map((number) => ({ label: `${number} GiB`, bytes: number * gibi }));
}

const memoryPush: Row<AsyncDisposable> = {
  id: "memory-push",
  title: "resident memory of a push",
  measure: (_, bench) =>
    measureSizes(bench, async (size) => {
      const source = join(bench.workspace.fast, "sparse");
      await using cleanups = new AsyncDisposableStack();
      cleanups.defer(() => removeFolder(source));
      const bytes = writeSparseModel(source, size.bytes);
      const server = cleanups.use(await startMadeUpRegistry({ bytes: 0, redirect: false }));
      const client = ballastClient(bench.ballast);
      const name = `${repositories.ours}:v1`;
      return await runOnce(bench, {
        client: size.label,
        role: "ours",
        prepare: async (folder) => {
          const home = await makeHome(folder);
          const command = await client.push({ server, name, source, layout: "", tag: "v1", home });
          const verify = async () => expectMoved((await server.counts()).layerBytes, bytes);
          return { command, servers: [server], counted: server, verify };
        },
      });
    }),
};

const memoryPull: Row<AsyncDisposable> = {
  id: "memory-pull",
  title: "resident memory of a pull",
  measure: (_, bench) =>
    measureSizes(bench, async (size) => {
      await using roomy = await openRoomyFolder(bench, size.bytes);
      await using server = await startMadeUpRegistry({ bytes: size.bytes, redirect: false });
      return await runOnce(
        bench,
        pullMadeUp(bench, server, { label: size.label, path: roomy.path }),
      );
    }),
};

/** Rows about models of any size, of which hardly a byte exists. */
export const memoryStage: Stage = defineStage({
  prepare: async () => new AsyncDisposableStack(),
  dataBytes: (settings) => Math.max(...sizesOf(settings).map(({ bytes }) => roomFor(bytes))),
  rows: [memoryPush, memoryPull],
});

/** Ballast pulling the model of a made-up registry into `path`. */
export function pullMadeUp(
  bench: Bench,
  server: MadeUpRegistry,
  { path, label }: { readonly path: string; readonly label: string },
): Contestant {
  const output = join(path, "store");
  const name = `${repositories.ours}:v1`;
  return {
    client: label,
    role: "ours",
    prepare: async (folder) => {
      const job = { server, name, output, home: await makeHome(folder), files: [] };
      const command = await ballastClient(bench.ballast).pull(job);
      const verify = async (tree: string) =>
        expectMoved(await treeBytes(tree.trim()), server.modelBytes);
      return { command, servers: [server], counted: server, verify };
    },
  };
}

/** Every byte is there once: the digests of the chunks are for Ballast to check. */
function expectMoved(moved: number, bytes: number): void {
  if (moved < bytes) throw new Error(`${moved} bytes came, ${bytes} were sent`);
}

async function treeBytes(folder: string): Promise<number> {
  const names = await readdir(folder);
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Runs a contestant once, without a warm-up: what it costs in time is not the point. */
export async function runOnce(bench: Bench, contestant: Contestant): Promise<Entry> {
  const { workspace, signal, print } = bench;
  const [entry] = await runRounds([contestant], {
    rounds: 1,
    warmups: 0,
    folder: workspace.fast,
    signal,
    onRun: (client, run) =>
      print(`  ${client}: ${run.seconds.toFixed(1)} s, ${Math.round(run.peakBytes / 2 ** 20)} MiB`),
  });
  if (entry === undefined) throw new Error("nothing ran");
  return entry;
}

async function measureSizes(
  bench: Bench,
  measure: (size: Size) => Promise<Entry>,
): Promise<Measured> {
  const entries: Entry[] = [];
  const skipped: string[] = [];
  for (const size of sizesOf(bench.settings))
    try {
      entries.push(await measure(size));
    } catch (error) {
      if (!(error instanceof NoRoom)) throw error;
      skipped.push(`${size.label}: ${error.message}`);
    }
  return { entries, ...(skipped.length === 0 ? {} : { skipped: skipped.join("; ") }) };
}
