import { createHash } from "node:crypto";
import { digestAlgorithm, isDigest } from "../../core/digest.ts";
import { ModelError } from "../../core/errors.ts";
import type { Abortable } from "../../core/progress.ts";
import type { HashThread, LayerHasher } from "../../pack/hash-thread.ts";
import type { LinkedBlob } from "./links.ts";
import { type PagePool, pageBytes } from "./page-pool.ts";
import type { Side } from "./side.ts";

/** Smaller blobs (4 MiB) are hashed where they are read: a thread would cost more than it takes over. */
const leastOnThread = 4_194_304;
/** One is filled while others are hashed and sent. */
const pagesEach = 3;

export interface CheckOptions extends Abortable {
  readonly source: Side;
  readonly thread: HashThread;
  readonly pages: PagePool;
}

/**
 * The bytes of a blob of the source, hashed on their way: the last piece is given only when all of
 * them are right. Rejects with NOT_FOUND or DIGEST_MISMATCH, naming the source.
 */
export async function* readChecked(
  blob: LinkedBlob,
  options: CheckOptions,
): AsyncGenerator<Uint8Array> {
  const { source } = options;
  try {
    if (isDigest(blob.digest) && blob.size >= leastOnThread) yield* readOnThread(blob, options);
    else yield* readHere(blob, options);
  } catch (error) {
    throw source.blame(error);
  }
}

/** The bytes of a blob of the source, as many as it should have. Rejects likewise. */
export async function* readSized(
  blob: LinkedBlob,
  { source, signal }: Abortable & { readonly source: Side },
): AsyncGenerator<Uint8Array> {
  let taken = 0;
  for await (const piece of source.repository.readBlob(blob.digest, { signal })) {
    taken += piece.byteLength;
    if (taken > blob.size) throw damaged(source, blob, `has more than its ${blob.size} bytes`);
    yield piece;
  }
  if (taken < blob.size) throw damaged(source, blob, `ends after ${taken} of ${blob.size} bytes`);
}

/** What a blob of the source is whose content is not what its digest says. */
export function damaged(source: Side, { digest }: LinkedBlob, why: string): unknown {
  const message = `blob ${digest} of ${source.repository.name} ${why}`;
  const hint = "its copy there is damaged: push it again";
  return source.blame(new ModelError("DIGEST_MISMATCH", message, { hint }));
}

async function* readHere(blob: LinkedBlob, options: CheckOptions): AsyncGenerator<Uint8Array> {
  const algorithm = digestAlgorithm(blob.digest);
  const hash = createHash(algorithm);
  let taken = 0;
  const check = () => compare(blob, `${algorithm}:${hash.digest("hex")}`, options);
  for await (const piece of readSized(blob, options)) {
    taken += piece.byteLength;
    hash.update(piece);
    if (taken === blob.size) check();
    yield piece;
  }
  if (blob.size === 0) check();
}

/** Gathers small pieces into pages, which a thread hashes while they are sent. */
async function* readOnThread(blob: LinkedBlob, options: CheckOptions): AsyncGenerator<Uint8Array> {
  const { thread, pages } = options;
  const ring = Array.from({ length: pagesEach }, () => ({
    page: pages.take(),
    hashed: Promise.resolve(),
  }));
  await using hasher = thread.createLayerHasher();
  try {
    let turn = 0;
    let left = blob.size;
    for await (const length of fill(readSized(blob, options), () => ring[turn]?.page)) {
      const slot = ring[turn];
      if (slot === undefined) return;
      const full = slot.page.subarray(0, length);
      slot.hashed = startHash(hasher, full);
      left -= length;
      if (left === 0) compare(blob, await hasher.digest(), options);
      yield full;
      turn = (turn + 1) % pagesEach;
      await ring[turn]?.hashed;
    }
  } finally {
    await Promise.allSettled(ring.map(({ hashed }) => hashed));
    for (const { page } of ring) pages.giveBack(page);
  }
}

/** Fills one page after the other; gives how many bytes are in it. */
async function* fill(
  pieces: AsyncIterable<Uint8Array>,
  next: () => Uint8Array | undefined,
): AsyncGenerator<number> {
  let filled = 0;
  for await (const piece of pieces) {
    for (let at = 0; at < piece.byteLength; ) {
      const part = piece.subarray(at, at + pageBytes - filled);
      next()?.set(part, filled);
      filled += part.byteLength;
      at += part.byteLength;
      if (filled < pageBytes) continue;
      yield filled;
      filled = 0;
    }
  }
  if (filled > 0) yield filled;
}

function startHash(hasher: LayerHasher, full: Uint8Array<SharedArrayBuffer>): Promise<void> {
  const hashed = hasher.update([full]);
  // Told to whoever fills the page again, or by the digest.
  hashed.catch(() => undefined);
  return hashed;
}

function compare(blob: LinkedBlob, actual: string, { source }: CheckOptions): void {
  if (actual !== blob.digest) throw damaged(source, blob, `has the content of ${actual}`);
}
