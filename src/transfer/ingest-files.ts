import { basename, dirname } from "node:path";
import { pathExists } from "../core/absence.ts";
import { forEachConcurrently } from "../core/concurrently.ts";
import type { Digest } from "../core/digest.ts";
import { ModelError } from "../core/errors.ts";
import type { ChunkLocation } from "../store/chunk-locations.ts";
import type { Reservation } from "../store/ledger.ts";
import { quarantineFile } from "../store/quarantine.ts";
import type { DiskThreads } from "./disk-threads.ts";
import type { SourceSlice } from "./disk-worker.ts";
import { planFetches, type WantedChunk } from "./fetch-plan.ts";
import { fetchRange } from "./fetch-range.ts";
import { type ChunkTarget, type Intake, openIntake } from "./intake.ts";
import type { PresentOptions, WantedFile } from "./present.ts";
import type { FileSlice } from "./range-reader.ts";
import type { Tally } from "./tally.ts";
import type { Turn } from "./turn-queue.ts";

/** What one call of `ingestFiles` works with. */
export interface IngestRun {
  readonly options: PresentOptions;
  readonly intake: Intake;
  readonly reservation: Reservation;
  readonly tally: Tally;
  /** Chunks of which other bytes came: how often, and what they were the last time. */
  readonly wrong: Map<
    WantedChunk<ChunkTarget>,
    { readonly times: number; readonly actual: Digest | undefined }
  >;
}

/** Brings files that the caller has claimed: chunks that are here by copy, the rest by ranges. */
export async function ingestFiles(
  options: PresentOptions,
  files: readonly WantedFile[],
  { local, tally }: { local: ReadonlyMap<Digest, ChunkLocation>; tally: Tally },
): Promise<void> {
  const intake = await openIntake(options, files);
  using reservation = await options.store.ledger.reserve(intake.missingBytes);
  const run: IngestRun = { options, intake, reservation, tally, wrong: new Map() };
  for (const { wanted, bytes } of intake.resumed) tally.addReused(wanted, bytes);
  const absent = await copyLocal(run, local);
  const { transfer, signal } = options;
  const { ranges, repeats } = planFetches(absent, transfer.rangeBytes);
  // So that those under way at the end are short, and no connection waits long for the last.
  const longestFirst = ranges.toSorted((one, other) => other.length - one.length);
  const fetch = (range: (typeof ranges)[number], turn: Turn) => fetchRange(run, range, turn);
  await transfer.forEachRange(longestFirst, fetch, { signal });
  for (const { from, to } of repeats)
    if (!(await copyChunk(run, to, { donor: await whereNow(run, from), rotten: new Set() })))
      throw new ModelError(
        "STORE_IO",
        `a chunk of ${from.target.wanted.file.path} changed on disk`,
      );
  await intake.finish();
}

/** A chunk that just arrived: in the finished file if that is committed by now. */
async function whereNow(
  { options, intake }: IngestRun,
  wanted: WantedChunk<ChunkTarget>,
): Promise<ChunkLocation> {
  const { offset, path } = intake.sliceOf(wanted);
  const committed = options.store.paths.file(wanted.target.incoming.id);
  return { path: (await pathExists(path)) ? path : committed, offset };
}

/** Copies what is here already; returns what is not, or was rotten. */
async function copyLocal(
  run: IngestRun,
  local: ReadonlyMap<Digest, ChunkLocation>,
): Promise<WantedChunk<ChunkTarget>[]> {
  const absent: WantedChunk<ChunkTarget>[] = [];
  const rotten = new Set<string>();
  await forEachConcurrently(run.intake.missing, 4, async (wanted) => {
    run.options.signal?.throwIfAborted();
    const donor = local.get(wanted.chunk.digest);
    const copied = donor !== undefined && (await copyChunk(run, wanted, { donor, rotten }));
    if (!copied) absent.push(wanted);
  });
  await putAside(run, rotten);
  return absent;
}

/** Only now: until then the right chunks of such a file could still be copied. */
async function putAside({ options }: IngestRun, rotten: Iterable<string>): Promise<void> {
  const { store, onProgress } = options;
  for (const path of rotten) {
    const message = `${path} has rotted; what is wrong of it is fetched again`;
    onProgress?.({ type: "warning", message });
    if (dirname(path) === store.paths.files) await quarantineFile(store, basename(path));
  }
}

/** Copies one chunk, hashing what is written. False when the donor does not hold it any more. */
async function copyChunk(
  run: IngestRun,
  wanted: WantedChunk<ChunkTarget>,
  { donor, rotten }: { readonly donor: ChunkLocation; readonly rotten: Set<string> },
): Promise<boolean> {
  const { chunk, target } = wanted;
  const { transfer } = run.options;
  const digest = await copyUnlessGone(
    transfer.disk,
    { ...donor, size: chunk.size },
    run.intake.sliceOf(wanted),
  );
  if (digest === undefined) return false;
  if (digest !== chunk.digest) {
    rotten.add(donor.path);
    return false;
  }
  run.reservation.spend(chunk.size);
  run.tally.addReused(target.wanted, chunk.size);
  await run.intake.accept([wanted]);
  return true;
}

/** Undefined when the donor was committed elsewhere or evicted meanwhile, or its disk cannot read it. */
async function copyUnlessGone(
  disk: DiskThreads,
  from: SourceSlice,
  to: FileSlice,
): Promise<Digest | undefined> {
  try {
    return await disk.copy(from, to);
  } catch (error) {
    if (await isReadable(disk, from)) throw error;
    return undefined;
  }
}

async function isReadable(disk: DiskThreads, slice: SourceSlice): Promise<boolean> {
  if (!(await pathExists(slice.path))) return false;
  return disk.hash([slice]).then(
    () => true,
    () => false,
  );
}
