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

/** Requests under way at once, unless told otherwise. */
const defaultConnections = 8;

/** What one call of `ingestFiles` works with. */
export interface IngestRun {
  readonly options: PresentOptions;
  readonly intake: Intake;
  readonly reservation: Reservation;
  readonly tally: Tally;
}

/** Brings files that the caller has claimed: chunks that are here by copy, the rest by ranges. */
export async function ingestFiles(
  options: PresentOptions,
  files: readonly WantedFile[],
  { local, tally }: { local: ReadonlyMap<Digest, ChunkLocation>; tally: Tally },
): Promise<void> {
  const intake = await openIntake(options, files);
  using reservation = await options.store.ledger.reserve(intake.missingBytes);
  const run = { options, intake, reservation, tally };
  for (const { wanted, bytes } of intake.resumed) tally.addReused(wanted, bytes);
  const absent = await copyLocal(run, local);
  const { ranges, repeats } = planFetches(absent);
  const connections = options.connections ?? defaultConnections;
  await forEachConcurrently(ranges, connections, (range) => fetchRange(run, range));
  for (const { from, to } of repeats)
    if (!(await copyChunk(run, to, await whereNow(run, from))))
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
  await forEachConcurrently(run.intake.missing, 4, async (wanted) => {
    run.options.signal?.throwIfAborted();
    const donor = local.get(wanted.chunk.digest);
    if (donor === undefined || !(await copyChunk(run, wanted, donor))) absent.push(wanted);
  });
  return absent;
}

/** Copies one chunk, hashing what is written. False when the donor does not hold it any more. */
async function copyChunk(
  run: IngestRun,
  wanted: WantedChunk<ChunkTarget>,
  donor: ChunkLocation,
): Promise<boolean> {
  const { chunk, target } = wanted;
  const { store, disk, onProgress } = run.options;
  const digest = await copyUnlessGone(
    disk,
    { ...donor, size: chunk.size },
    run.intake.sliceOf(wanted),
  );
  if (digest === undefined) return false;
  if (digest !== chunk.digest) {
    onProgress?.({
      type: "warning",
      message: `${donor.path} has rotted; its bytes are fetched again`,
    });
    if (dirname(donor.path) === store.paths.files)
      await quarantineFile(store.paths, basename(donor.path));
    return false;
  }
  run.reservation.spend(chunk.size);
  run.tally.addReused(target.wanted, chunk.size);
  await run.intake.accept([wanted]);
  return true;
}

/** Undefined when the donor was committed elsewhere or evicted meanwhile. */
async function copyUnlessGone(
  disk: DiskThreads,
  from: SourceSlice,
  to: FileSlice,
): Promise<Digest | undefined> {
  try {
    return await disk.copy(from, to);
  } catch (error) {
    if (await pathExists(from.path)) throw error;
    return undefined;
  }
}
