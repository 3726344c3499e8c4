import { type Bench, defineStage, type Row, type Stage } from "../bench.ts";
import { simulateModel } from "../models/simulated-model.ts";
import type { Entry, Fact, Settings } from "../results.ts";
import { NoRoom, openRoomyFolder, roomFor } from "../roomy-folder.ts";
import { startMadeUpRegistry } from "../servers/made-up-registry.ts";
import { pullMadeUp, runOnce } from "./memory.ts";

const hugeBytes = 140_000_000_000;
const tebi = 2 ** 40;

/** The model whose pull is counted. Only the huge one answers the question. */
function bytesOf({ smoke, huge }: Settings): number {
  if (smoke) return 128 * 2 ** 20;
  return huge ? hugeBytes : 4 * 2 ** 30;
}

const requests: Row<AsyncDisposable> = {
  id: "requests",
  title: "requests of a pull, counted at the registry",
  measure: async (_, bench) => {
    const bytes = bytesOf(bench.settings);
    const entries: Entry[] = [];
    const facts: Fact[] = [{ id: "model-bytes", label: "model", value: bytes, unit: "bytes" }];
    try {
      for (const redirect of [true, false]) {
        const counted = await countRequests(bench, bytes, redirect);
        entries.push(counted.entry);
        facts.push(...counted.facts);
      }
    } catch (error) {
      if (!(error instanceof NoRoom)) throw error;
      return { entries, facts, skipped: error.message };
    }
    return { entries, facts };
  },
};

async function countRequests(bench: Bench, bytes: number, redirect: boolean) {
  await using roomy = await openRoomyFolder(bench, bytes);
  await using server = await startMadeUpRegistry({ bytes, redirect });
  const label = redirect ? "blobs redirected" : "blobs from the registry";
  const entry = await runOnce(bench, pullMadeUp(bench, server, { path: roomy.path, label }));
  const { registry, storage } = await server.counts();
  const count = (id: string, label: string, value: number): Fact => {
    return { id, label, value, unit: "count" };
  };
  const facts = redirect
    ? [
        count("redirected-registry", "to a registry that redirects blobs", registry),
        count("redirected-storage", "to where it redirects them", storage),
      ]
    : [count("direct-registry", "to a registry that serves blobs itself", registry)];
  return { entry, facts };
}

const manifest: Row<AsyncDisposable> = {
  id: "manifest",
  title: "documents of a model of 1 TiB",
  measure: async () => {
    const { index, indexBytes, manifestBytes } = simulateModel(tebi);
    const chunks = index.files.reduce((sum, file) => sum + file.chunks.length, 0);
    return {
      entries: [],
      facts: [
        fact("manifest-bytes", "manifest", manifestBytes.byteLength, "bytes"),
        fact("index-bytes", "ChunkIndex", indexBytes.byteLength, "bytes"),
        fact("layers", "layers", index.layers.length, "count"),
        fact("chunks", "chunks", chunks, "count"),
        fact("files", "files", index.files.length, "count"),
      ],
    };
  },
};

function fact(id: string, label: string, value: number, unit: Fact["unit"]): Fact {
  return { id, label, value, unit };
}

/** What a pull asks of a registry, and how large the documents are. */
export const requestStage: Stage = defineStage({
  prepare: async () => new AsyncDisposableStack(),
  dataBytes: (settings) => roomFor(bytesOf(settings)),
  rows: [requests, manifest],
});
