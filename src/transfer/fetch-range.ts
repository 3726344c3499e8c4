import type { Digest } from "../core/digest.ts";
import { ModelError } from "../core/errors.ts";
import { type FetchRange, joinNeighbours, type WantedChunk } from "./fetch-plan.ts";
import type { IngestRun } from "./ingest-files.ts";
import type { ChunkTarget } from "./intake.ts";

type Wanted = WantedChunk<ChunkTarget>;

/** A chunk of which other bytes came. */
interface Wrong {
  readonly wanted: Wanted;
  readonly actual: Digest | undefined;
}

/** How often a chunk is asked for when what came does not match its digest. */
const attempts = 3;

/**
 * Fetches one range and accepts the chunks that match. Those that do not are asked for again, then
 * it rejects with DIGEST_MISMATCH; what matched stays.
 */
export async function fetchRange(run: IngestRun, range: FetchRange<ChunkTarget>): Promise<void> {
  let ranges = [range];
  for (let attempt = 1; ranges.length > 0; attempt += 1) {
    const wrong: Wrong[] = [];
    for (const each of ranges) wrong.push(...(await readOnce(run, each)));
    const [first] = wrong;
    if (first === undefined) return;
    if (attempt === attempts) throw mismatch(run, first.wanted, first.actual);
    ranges = joinNeighbours(
      wrong.map(({ wanted }) => wanted),
      range.length,
    );
  }
}

/** Reads a range once; returns the chunks that came wrong. What came right stays, also in a failure. */
async function readOnce(run: IngestRun, range: FetchRange<ChunkTarget>): Promise<Wrong[]> {
  const { transfer, index, signal } = run.options;
  signal?.throwIfAborted();
  const layer = index.layers[range.layer];
  if (layer === undefined) throw new Error(`no layer ${range.layer}`);
  const counter = createCounter(run, range.wanted);
  const left = new Set(range.wanted);
  const wrong: Wrong[] = [];
  const accepting: Promise<void>[] = [];
  const onSlices = (first: number, digests: readonly Digest[]) => {
    const right: Wanted[] = [];
    for (const [at, wanted] of range.wanted.slice(first, first + digests.length).entries()) {
      const actual = digests[at];
      if (actual !== wanted.chunk.digest) wrong.push({ wanted, actual });
      else if (left.delete(wanted)) right.push(wanted);
    }
    const accepted = acceptChunks(run, right);
    // Awaited below, when the range has ended; until then a failure is nobody's.
    accepted.catch(() => undefined);
    accepting.push(accepted);
  };
  try {
    const slices = range.wanted.map((wanted) => run.intake.sliceOf(wanted));
    const { offset, length } = range;
    const options = { signal, onBytes: counter.add, onSlices };
    await transfer.reader.readInto({ layer: layer.digest, offset, length }, slices, options);
  } finally {
    counter.takeBack(left);
    await Promise.allSettled(accepting);
  }
  await Promise.all(accepting);
  return wrong;
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
    takeBack: (chunks: Iterable<Wanted>) => {
      for (const chunk of chunks) {
        const bytes = counted.get(chunk) ?? 0;
        if (bytes > 0) run.tally.addMoved(chunk.target.wanted, -bytes);
      }
    },
  };
}

function mismatch(
  run: IngestRun,
  { chunk, target }: Wanted,
  actual: Digest | undefined,
): ModelError {
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
