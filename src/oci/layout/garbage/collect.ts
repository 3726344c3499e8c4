import { dirname } from "node:path";
import { undefinedIfMissing } from "../../../core/absence.ts";
import { type ContentDigest, isContentDigest } from "../../../core/digest.ts";
import { syncDirectory } from "../../../core/durable-file.ts";
import { isModelError } from "../../../core/errors.ts";
import type { Abortable } from "../../../core/progress.ts";
import { onDisk } from "../../../core/system-error.ts";
import type { OciLayout } from "../layout.ts";
import type { LayoutIndex } from "../layout-index.ts";
import { type Garbage, type GarbageJudgement, judgeGarbage } from "./judge.ts";
import { type AsideFile, putAside } from "./put-aside.ts";
import { ReachableContent } from "./reachable.ts";
import { readMarks, type UnreachableMarks, writeMarks } from "./unreachable-marks.ts";

/** Others wait for the lock meanwhile. */
const longestHoldMs = 2000;
const defaultGraceMs = 24 * 3600 * 1000;

export interface CollectOptions extends Abortable {
  /** How long content stays that nothing reaches; default a day. */
  readonly graceMs?: number | undefined;
  /** Only says what would go. */
  readonly dryRun?: boolean | undefined;
  /** Names of each file that a dry run has removed elsewhere, by inode; it adds its own. */
  readonly unlinked?: Map<string, number> | undefined;
}

/** One manifest or blob that went. */
interface CollectedContent {
  readonly digest: ContentDigest;
  readonly kind: "manifest" | "blob";
  readonly bytes: number;
  /** 0 while another repository holds the same file. */
  readonly freedBytes: number;
}

export interface Collection {
  /** What went, or would go. */
  readonly removed: readonly CollectedContent[];
  readonly freedBytes: number;
  /** Blobs that nothing reaches, which stay for the grace. */
  readonly waiting: number;
  readonly waitingBytes: number;
  /** Blobs that tags reach. */
  readonly kept: number;
}

/**
 * Collects a layout's garbage in two phases. The first remembers what no tag reaches; the second
 * looks again, with no other writer in between, and removes what has been out of reach for the grace
 * and was claimed by nobody. Safe beside pushes and removals of this and other processes; a kill in
 * between leaves content that the next collection removes. Rejects with INVALID_MANIFEST, and
 * nothing goes, when a tagged manifest does not tell what it names.
 */
export async function collectLayout(
  layout: OciLayout,
  options: CollectOptions = {},
): Promise<Collection> {
  const collector = new Collector(layout, options);
  return options.dryRun === true ? collector.foretell() : collector.collect();
}

class Collector {
  readonly #layout: OciLayout;
  readonly #options: CollectOptions;
  readonly #graceMs: number;
  readonly #reachable: ReachableContent;
  readonly #removed: CollectedContent[] = [];

  constructor(layout: OciLayout, options: CollectOptions) {
    this.#layout = layout;
    this.#options = options;
    this.#graceMs = options.graceMs ?? defaultGraceMs;
    this.#reachable = new ReachableContent(layout.blobs);
  }

  async foretell(): Promise<Collection> {
    const judged = await this.#judge(await this.#layout.indexFile.read());
    const unlinked = this.#options.unlinked ?? new Map<string, number>();
    for (const garbage of judged.due) {
      const { inode, links } = garbage.file ?? { inode: "", links: 0 };
      const gone = (unlinked.get(inode) ?? 0) + 1;
      unlinked.set(inode, gone);
      this.#count(garbage, gone === links);
    }
    return this.#result(judged);
  }

  async collect(): Promise<Collection> {
    const { uploads } = this.#layout;
    // A collection that was killed has left what it took out.
    await onDisk(`sweep of ${this.#layout.name}`, () => uploads.sweep());
    // Reads most manifests before anybody has to wait for the lock.
    await this.#judge(await this.#layout.indexFile.read());
    let judged = await this.#mark();
    while (judged.due.length > 0) judged = await this.#remove();
    await uploads.removeIfEmpty();
    return this.#result(judged);
  }

  /** The first phase. On a full disk what was due before may still go, and makes room. */
  async #mark(): Promise<GarbageJudgement> {
    const { judged } = await this.#update(async (index) => {
      const found = await this.#judge(index);
      try {
        await this.#remember(found.marks);
      } catch (error) {
        if (!isModelError(error, "NO_SPACE") || found.due.length === 0) throw error;
      }
      return { judged: found, index };
    }, this.#options.signal);
    return judged;
  }

  /**
   * The second phase, or as much of it as others can wait for; resolves to what is due after it.
   * Without room for the new index.json it begins with the removal, which makes some.
   */
  async #remove(): Promise<GarbageJudgement> {
    try {
      return await this.#removeSome(false);
    } catch (error) {
      if (!isModelError(error, "NO_SPACE")) throw error;
      return this.#removeSome(true);
    }
  }

  async #removeSome(atOnce: boolean): Promise<GarbageJudgement> {
    const taken: Taken[] = [];
    const removeTaken = async () => {
      for (const { file, garbage } of taken.splice(0)) {
        await file?.remove();
        this.#count(garbage, file?.links === 1);
      }
    };
    try {
      // Without the signal, which would end the wait for it, but not the removal.
      const { judged } = await this.#update(async (index) => {
        const found = await this.#judge(index);
        const tried = await this.#take(found.due, taken);
        const gone = new Set(taken.map(({ garbage }) => garbage.digest));
        if (atOnce) await removeTaken();
        const marks = [...found.marks].filter(([digest]) => !gone.has(digest));
        await this.#remember(new Map(marks));
        const left = { ...found, due: found.due.slice(tried) };
        return { judged: left, index: withoutGone(index, gone) };
      });
      await onDisk(`removal from ${this.#layout.name}`, removeTaken);
      return judged;
    } finally {
      // Only what a failure before the new index.json left here.
      for (const { file } of taken) await file?.restore();
    }
  }

  /** Takes files out until that lasts too long; resolves to how many were tried. */
  async #take(due: readonly Garbage[], taken: Taken[]): Promise<number> {
    const { blobs, uploads } = this.#layout;
    const deadline = performance.now() + longestHoldMs;
    let tried = 0;
    for (const garbage of due) {
      if (performance.now() > deadline) break;
      // No loss of power may keep a manifest of whose blobs some are gone.
      if (!garbage.isManifest && due[tried - 1]?.isManifest === true) await this.#sync(taken);
      const path = blobs.path(garbage.digest);
      const file = await putAside(path, uploads, Date.now() - this.#graceMs);
      if (file !== undefined || garbage.file === undefined) taken.push({ garbage, file });
      tried += 1;
    }
    await this.#sync(taken);
    return tried;
  }

  async #sync(taken: readonly Taken[]): Promise<void> {
    const folders = taken.map(({ garbage }) => dirname(this.#layout.blobs.path(garbage.digest)));
    for (const folder of new Set(folders))
      await onDisk(`sync of ${folder}`, () => syncDirectory(folder).catch(undefinedIfMissing));
  }

  async #judge(index: LayoutIndex): Promise<GarbageJudgement> {
    this.#options.signal?.throwIfAborted();
    const { name, directory, blobs } = this.#layout;
    const marks = await readMarks(this.#layout);
    const time = { graceMs: this.#graceMs, now: Date.now() };
    return judgeGarbage(index, this.#reachable, { name, directory, blobs, marks, ...time });
  }

  async #remember(marks: UnreachableMarks): Promise<void> {
    if (!isSame(await readMarks(this.#layout), marks)) await writeMarks(this.#layout, marks);
  }

  async #update<T extends { readonly index: LayoutIndex }>(
    edit: (index: LayoutIndex) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const edited: T[] = [];
    await this.#layout.indexFile.update(
      async (index) => {
        const result = await edit(index);
        edited.push(result);
        return result.index;
      },
      { signal },
    );
    const [result] = edited;
    if (result === undefined) throw new TypeError("index.json was not edited");
    return result;
  }

  #count({ digest, isManifest, file }: Garbage, isFreed: boolean): void {
    const bytes = file?.bytes ?? 0;
    const kind = isManifest ? "manifest" : "blob";
    this.#removed.push({ digest, kind, bytes, freedBytes: isFreed ? bytes : 0 });
  }

  #result({ waiting, kept }: GarbageJudgement): Collection {
    const removed = this.#removed;
    return {
      removed,
      freedBytes: removed.reduce((sum, { freedBytes }) => sum + freedBytes, 0),
      waiting: waiting.length,
      waitingBytes: waiting.reduce((sum, { file }) => sum + (file?.bytes ?? 0), 0),
      kept,
    };
  }
}

/** A blob on its way out; without a file it was only listed. */
interface Taken {
  readonly garbage: Garbage;
  readonly file: AsideFile | undefined;
}

function isSame(a: UnreachableMarks, b: UnreachableMarks): boolean {
  return a.size === b.size && [...a].every(([digest, since]) => b.get(digest) === since);
}

/** The same index when none of them is listed, without a tag. */
function withoutGone(index: LayoutIndex, gone: ReadonlySet<ContentDigest>): LayoutIndex {
  const entries = index.entries.filter(({ raw, refName }) => {
    const digest = raw["digest"];
    return refName !== undefined || !isContentDigest(digest) || !gone.has(digest);
  });
  return entries.length === index.entries.length ? index : { ...index, entries };
}
