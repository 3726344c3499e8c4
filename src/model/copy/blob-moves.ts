import pLimit from "p-limit";
import type { ContentDigest } from "../../core/digest.ts";
import { isModelError } from "../../core/errors.ts";
import type { RunOptions } from "../../core/progress.ts";
import { createHashThread } from "../../pack/hash-thread.ts";
import { type CheckOptions, damaged, readChecked, readSized } from "./checked-body.ts";
import type { LinkedBlob } from "./links.ts";
import { mountSource } from "./mount-source.ts";
import { createPagePool } from "./page-pool.ts";
import { createRelays, type Relays } from "./relays.ts";
import type { Side } from "./side.ts";
import type { BlobTally, Outcome } from "./tally.ts";

export interface BlobMoveOptions extends RunOptions {
  readonly source: Side;
  readonly target: Side;
  readonly dryRun: boolean;
  /** Blobs under way at once. */
  readonly connections: number;
  readonly tally: BlobTally;
  readonly transfer?: { readonly sockets?: boolean | undefined } | undefined;
}

/** Blobs on their way from the source to the target, a few at once, each once. Disposing waits for those under way. */
export interface BlobMoves extends AsyncDisposable {
  /** Resolves when they are at the target (with `dryRun`: when it was asked for them). Idempotent. */
  bring(blobs: readonly LinkedBlob[]): Promise<void>;
  /** Asks for them again, and sends those that the target has lost. */
  bringAgain(blobs: readonly LinkedBlob[]): Promise<void>;
}

/** Starts with none under way. */
export function createBlobMoves(options: BlobMoveOptions): BlobMoves {
  const failure = new AbortController();
  const signals = [failure.signal, ...(options.signal === undefined ? [] : [options.signal])];
  const work = { ...options, signal: AbortSignal.any(signals) };
  const limit = pLimit(options.connections);
  const thread = createHashThread();
  const relays = createRelays(work);
  const checks = { ...work, thread, relays, pages: createPagePool() };
  const mount = mountSource(checks);
  const moves = new Map<ContentDigest, Promise<void>>();

  const move = async (blob: LinkedBlob, isCounted: boolean) => {
    try {
      work.signal.throwIfAborted();
      const outcome = await moveBlob(blob, { ...checks, mount });
      if (isCounted) options.tally.ended(blob, outcome);
    } catch (error) {
      failure.abort(error);
      throw error;
    }
  };
  const start = (blob: LinkedBlob, isCounted: boolean) => {
    const moving = limit(() => move(blob, isCounted));
    moving.catch(() => undefined); // Told by whoever waits for it.
    moves.set(blob.digest, moving);
    return moving;
  };
  return {
    bring: (blobs) => all(blobs.map((blob) => moves.get(blob.digest) ?? start(blob, true))),
    bringAgain: (blobs) => all(blobs.map((blob) => start(blob, false))),
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(moves.values());
      await thread[Symbol.asyncDispose]();
      await relays[Symbol.asyncDispose]();
    },
  };
}

async function all(moving: readonly Promise<void>[]): Promise<void> {
  await Promise.all(moving);
}

interface MoveOptions extends BlobMoveOptions, Omit<CheckOptions, "signal"> {
  readonly mount: (blob: LinkedBlob) => Promise<boolean>;
  readonly relays: Relays;
}

async function moveBlob(blob: LinkedBlob, options: MoveOptions): Promise<Outcome> {
  const { target, dryRun, signal, onProgress } = options;
  const { digest, size } = blob;
  const held = await target.on(() => target.repository.statBlob(digest, { signal }));
  if (held === size) return "there";
  if (blob.isForeign && (await isMissing(blob, options))) {
    const message = `blob ${digest} is not at the source, which says where else it is: left out`;
    onProgress?.({ type: "notice", message });
    return "leftOut";
  }
  if (dryRun) {
    options.tally.sent(blob, size);
    return "moved";
  }
  if (await options.mount(blob)) return "mounted";
  await send(blob, options);
  return "moved";
}

async function isMissing(
  { digest }: LinkedBlob,
  { source, signal }: BlobMoveOptions,
): Promise<boolean> {
  return (await source.on(() => source.repository.statBlob(digest, { signal }))) === undefined;
}

/** A folder hashes what it takes in, so only for a registry is that done here. */
async function send(blob: LinkedBlob, options: MoveOptions): Promise<void> {
  const { source, target, signal, tally } = options;
  const isFolder = target.reference.kind === "layout";
  let sent = 0;
  const count = (bytes: number) => {
    sent += bytes;
    tally.sent(blob, bytes);
  };
  const takeBack = () => {
    if (sent > 0) tally.sent(blob, -sent);
    sent = 0;
  };
  const body = async function* () {
    takeBack();
    const pieces = isFolder ? readSized(blob, options) : readChecked(blob, options);
    try {
      for await (const piece of pieces) {
        yield piece;
        count(piece.byteLength);
      }
    } catch (error) {
      throw source.blame(error);
    }
  };
  try {
    if (await options.relays.bring(blob, count)) return;
    takeBack();
    await target.repository.putBlob(blob, body, { signal });
  } catch (error) {
    takeBack();
    if (!isFolder || !isModelError(error, "DIGEST_MISMATCH")) throw target.blame(error);
    throw damaged(source, blob, "has other content");
  }
}
