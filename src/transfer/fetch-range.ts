import type { Digest } from "../core/digest.ts";
import { ModelError } from "../core/errors.ts";
import { type FetchRange, joinNeighbours, type WantedChunk } from "./fetch-plan.ts";
import type { IngestRun } from "./ingest-files.ts";
import type { ChunkTarget } from "./intake.ts";
import type { Turn } from "./turn-queue.ts";

type Range = FetchRange<ChunkTarget>;
type Wanted = WantedChunk<ChunkTarget>;

/** How often a chunk is asked for when what came does not match its digest. */
const attempts = 3;

/**
 * Fetches one range and accepts the chunks that match. Those that do not are asked for again, then
 * it rejects with DIGEST_MISMATCH; what matched stays. Resolves to what is left because the turn was
 * over, which is neither an attempt nor a failure.
 */
export async function fetchRange(run: IngestRun, range: Range, turn: Turn): Promise<Range[]> {
  const left = new Set(range.wanted);
  while (left.size > 0) {
    for (const each of joinNeighbours([...left], range.length)) {
      const isCut = await readOnce(run, each, { left, turn });
      const worn = each.wanted.find((one) => timesWrong(run, one) >= attempts && left.has(one));
      if (worn !== undefined) throw mismatch(run, worn);
      if (isCut) return joinNeighbours([...left], range.length);
    }
  }
  return [];
}

/**
 * Reads a range once. What came right is taken from `left` and stays, also in a failure. Resolves to
 * whether it was cut since the turn was over.
 */
async function readOnce(
  run: IngestRun,
  { layer, offset, length, wanted }: Range,
  { left, turn }: { readonly left: Set<Wanted>; readonly turn: Turn },
): Promise<boolean> {
  const { transfer, index, signal } = run.options;
  signal?.throwIfAborted();
  const digest = index.layers[layer]?.digest;
  if (digest === undefined) throw new Error(`no layer ${layer}`);
  const counter = createCounter(run, wanted);
  const arrivals = createArrivals(run, wanted, left);
  const cut = new AbortController();
  const cutIfOver = () => {
    if (arrivals.told < wanted.length && turn.isOver()) cut.abort();
  };
  // A range that waits for an answer, of which no chunk is half here, need not wait for one.
  turn.onCall(() => {
    if (counter.isBetween(arrivals.told)) cutIfOver();
  });
  const onSlices = (first: number, digests: readonly Digest[]) => {
    arrivals.add(first, digests);
    cutIfOver();
  };
  const signals = [cut.signal, ...(signal === undefined ? [] : [signal])];
  try {
    const slices = wanted.map((each) => run.intake.sliceOf(each));
    const options = { signal: AbortSignal.any(signals), onBytes: counter.add, onSlices };
    await transfer.reader.readInto({ layer: digest, offset, length }, slices, options);
  } catch (error) {
    if (!cut.signal.aborted) throw error;
    signal?.throwIfAborted();
  } finally {
    counter.takeBack(left);
    await Promise.allSettled(arrivals.accepting);
  }
  await Promise.all(arrivals.accepting);
  if (arrivals.told < wanted.length && !cut.signal.aborted)
    throw new Error("the reader did not tell of all chunks");
  return cut.signal.aborted;
}

/** Takes the chunks of a range as they arrive; those that are right leave `left`. */
function createArrivals(run: IngestRun, wanted: readonly Wanted[], left: Set<Wanted>) {
  const accepting: Promise<void>[] = [];
  let told = 0;
  return {
    /** To be awaited when the range has ended: until then a failure is nobody's. */
    accepting,
    /** How many have arrived. */
    get told() {
      return told;
    },
    add: (first: number, digests: readonly Digest[]) => {
      const right: Wanted[] = [];
      told = first + digests.length;
      for (const [at, each] of wanted.slice(first, told).entries()) {
        const actual = digests[at];
        if (actual !== each.chunk.digest) noteWrong(run, each, actual);
        else if (left.delete(each)) right.push(each);
      }
      const accepted = acceptChunks(run, right);
      accepted.catch(() => undefined);
      accepting.push(accepted);
    },
  };
}

function noteWrong(run: IngestRun, wanted: Wanted, actual: Digest | undefined): void {
  run.wrong.set(wanted, { times: timesWrong(run, wanted) + 1, actual });
}

function timesWrong({ wrong }: IngestRun, wanted: Wanted): number {
  return wrong.get(wanted)?.times ?? 0;
}

async function acceptChunks(run: IngestRun, chunks: readonly Wanted[]): Promise<void> {
  for (const { chunk, target } of chunks) {
    run.reservation.spend(chunk.size);
    run.tally.addReused(target.wanted, chunk.size, target.wanted.paths.slice(1));
  }
  await run.intake.accept(chunks);
}

/** Tells which file each arriving byte belongs to. */
function createCounter(run: IngestRun, wanted: readonly Wanted[]) {
  const counted = new Map<Wanted, number>();
  let at = 0;
  return {
    add: (bytes: number) => {
      for (let left = bytes; left > 0 && at < wanted.length; ) {
        const current = wanted[at];
        if (current === undefined) return;
        const before = counted.get(current) ?? 0;
        const part = Math.min(left, current.chunk.size - before);
        counted.set(current, before + part);
        run.tally.addMoved(current.target.wanted, part);
        left -= part;
        if (before + part === current.chunk.size) at += 1;
      }
    },
    /** Whether nothing came of the chunk at this number, nor is under way of those before it. */
    isBetween: (number: number) =>
      number === at && wanted.slice(at, at + 1).every((next) => !counted.has(next)),
    takeBack: (chunks: Iterable<Wanted>) => {
      for (const chunk of chunks) {
        const bytes = counted.get(chunk) ?? 0;
        if (bytes > 0) run.tally.addMoved(chunk.target.wanted, -bytes);
      }
    },
  };
}

function mismatch(run: IngestRun, wanted: Wanted): ModelError {
  const { chunk, target } = wanted;
  const actual = run.wrong.get(wanted)?.actual;
  const { transfer, index } = run.options;
  const layer = index.layers[chunk.layer]?.digest;
  const what = `layer ${layer} at byte ${chunk.offset} (for ${target.wanted.file.path})`;
  return new ModelError(
    "DIGEST_MISMATCH",
    `${transfer.reader.name} served wrong bytes: ${what} should be ${chunk.digest}, is ${actual}`,
    {
      hint: "the registry's copy or the index is damaged: push the model again; nothing wrong was kept",
    },
  );
}
