import { maxChunkBytes } from "../core/chunk-index.ts";
import type { Digest } from "../core/digest.ts";
import type { WorkerPool } from "../core/worker-pool.ts";
import type { SourceFile } from "../source/source.ts";
import { changed } from "./checked-file.ts";
import { type ChunkPlan, hasTensorFormat } from "./chunk-bounds.ts";
import { type MemoryGrant, type Page, slicePages } from "./chunk-memory.ts";
import type { FileSpan, FoundEnd, ReadAnswer, ReadQuestion } from "./read-question.ts";

/** A chunk in memory, with its digest. */
export interface ReadChunk {
  readonly file: SourceFile;
  /** Where it starts in the file, in bytes. */
  readonly offset: number;
  readonly size: number;
  readonly digest: Digest;
  /** Its bytes in pieces, in shared memory that is valid until `release`. */
  readonly bytes: readonly Page[];
  /** Gives the memory back, for the chunks to come. Idempotent. */
  release(): void;
}

/** A slice of a file whose digest is known. */
export interface KnownSlice extends FileSpan {
  readonly digest: Digest;
}

/** A piece of reading that needs memory and ends in chunks, in order. */
export interface ReadJob {
  readonly bytes: number;
  read(memory: MemoryGrant): Promise<readonly ReadChunk[]>;
}

export type ReadingThreads = WorkerPool<ReadQuestion, ReadAnswer, FoundEnd>;

/**
 * Chunks of a job: one large one, or small ones together. 100,000 small files one by one would be as many
 * round trips, and each would take a page of its own.
 */
const jobLimit = { chunks: 256, bytes: 4_194_304 };
/** Files below this are one chunk, without a look inside. */
const smallFileBytes = 1_048_576;

/**
 * The jobs that read `files` whole, in order. After each chunk of a file that is cut by content it
 * waits until the end of that chunk is found. `onWarning` hears of headers that are damaged.
 */
export async function* jobsOfFiles(
  files: readonly SourceFile[],
  threads: ReadingThreads,
  onWarning: (message: string) => void,
): AsyncGenerator<ReadJob, void, undefined> {
  const batch = createBatch(threads);
  for (const file of files) {
    const isSmall = file.size < smallFileBytes && !hasTensorFormat(file.path);
    const plan = isSmall || file.size === 0 ? onePiece(file) : await planOf(file, threads);
    if (plan.kind === "fixed") {
      let offset = 0;
      for (const size of plan.sizes) {
        yield* batch.add({ file, offset, size });
        offset += size;
      }
      continue;
    }
    if (plan.warning !== undefined) onWarning(plan.warning);
    yield* batch.end();
    yield* contentJobs(file, threads);
  }
  yield* batch.end();
}

/** The jobs that read known slices; a read rejects with SOURCE_CHANGED when a digest differs. */
export function* jobsOfSlices(
  slices: Iterable<KnownSlice>,
  threads: ReadingThreads,
): Generator<ReadJob, void, undefined> {
  const batch = createBatch(threads);
  for (const slice of slices) yield* batch.add(slice);
  yield* batch.end();
}

/** Collects small spans into jobs. */
function createBatch(threads: ReadingThreads): {
  add(span: FileSpan | KnownSlice): ReadJob[];
  end(): ReadJob[];
} {
  let spans: (FileSpan | KnownSlice)[] = [];
  let bytes = 0;
  function end(): ReadJob[] {
    const job = spans.length === 0 ? [] : [spansJob(spans, bytes, threads)];
    spans = [];
    bytes = 0;
    return job;
  }
  return {
    add: (span) => {
      const before = bytes > 0 && bytes + span.size > maxChunkBytes ? end() : [];
      spans.push(span);
      bytes += span.size;
      const isFull = spans.length === jobLimit.chunks || bytes >= jobLimit.bytes;
      return isFull ? [...before, ...end()] : before;
    },
    end,
  };
}

function onePiece(file: SourceFile): ChunkPlan {
  return { kind: "fixed", sizes: file.size === 0 ? [] : [file.size] };
}

async function* contentJobs(
  file: SourceFile,
  threads: ReadingThreads,
): AsyncGenerator<ReadJob, void, undefined> {
  for (let offset = 0; offset < file.size; ) {
    const { job, foundSize } = contentJob(file, offset, threads);
    yield job;
    const size = await foundSize;
    if (size === undefined) return;
    offset += size;
  }
}

async function planOf(file: SourceFile, threads: ReadingThreads): Promise<ChunkPlan> {
  if (!hasTensorFormat(file.path)) return { kind: "content" };
  const answer = await threads.ask({ kind: "plan", file }, { urgent: true });
  if (answer.kind !== "plan") throw new Error("a reading thread answered another question");
  return answer.plan;
}

function spansJob(
  spans: readonly (FileSpan | KnownSlice)[],
  bytes: number,
  threads: ReadingThreads,
): ReadJob {
  return {
    bytes,
    async read(memory) {
      const question = { kind: "spans", spans, into: memory.pages } as const;
      const digests = await digestsOf(threads.ask(question));
      for (const [at, span] of spans.entries())
        if ("digest" in span && span.digest !== digests[at])
          throw changed(
            span.file,
            `has other bytes at ${span.offset} than when they were read first`,
          );
      return chunksIn(memory, spans, digests);
    },
  };
}

/** `foundSize` is undefined when the read failed before it found the end. */
function contentJob(
  file: SourceFile,
  offset: number,
  threads: ReadingThreads,
): { job: ReadJob; foundSize: Promise<number | undefined> } {
  const bytes = Math.min(file.size - offset, maxChunkBytes);
  const end = Promise.withResolvers<number | undefined>();
  let size = bytes;
  async function read(memory: MemoryGrant): Promise<ReadChunk[]> {
    const onNote = (found: FoundEnd) => {
      size = found.size;
      memory.giveBack(size, bytes - size);
      end.resolve(size);
    };
    try {
      const span = { file, offset, size: bytes };
      const question = { kind: "content", span, into: memory.pages } as const;
      const digests = await digestsOf(threads.ask(question, { onNote }));
      return chunksIn(memory, [{ file, offset, size }], digests);
    } finally {
      end.resolve(undefined);
    }
  }
  return { job: { bytes, read }, foundSize: end.promise };
}

/** The digest of bytes that lie in memory; before anything that is still to be read. */
export async function hashPages(threads: ReadingThreads, bytes: readonly Page[]): Promise<Digest> {
  const [digest] = await digestsOf(threads.ask({ kind: "hash", bytes }, { urgent: true }));
  if (digest === undefined) throw new Error("a reading thread left out a digest");
  return digest;
}

async function digestsOf(asked: Promise<ReadAnswer>): Promise<readonly Digest[]> {
  const answer = await asked;
  if (answer.kind !== "digests") throw new Error("a reading thread answered another question");
  return answer.digests;
}

/** Chunks that lie end to end in `memory`. */
function chunksIn(
  memory: MemoryGrant,
  slices: readonly FileSpan[],
  digests: readonly Digest[],
): ReadChunk[] {
  let end = 0;
  return slices.map(({ file, offset, size }, at) => {
    const digest = digests[at];
    if (digest === undefined) throw new Error("a reading thread left out a digest");
    const start = end;
    end += size;
    let held = true;
    const bytes = slicePages(memory.pages, start, end);
    const release = () => {
      if (held) memory.giveBack(start, size);
      held = false;
    };
    return { file, offset, size, digest, bytes, release };
  });
}
