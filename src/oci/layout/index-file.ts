import type { BigIntStats } from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { undefinedIfMissing } from "../../core/absence.ts";
import { syncDirectory } from "../../core/durable-file.ts";
import { ModelError } from "../../core/errors.ts";
import { withFileLock } from "../../core/file-lock.ts";
import type { Abortable } from "../../core/progress.ts";
import { onDisk } from "../../core/system-error.ts";
import { whenIdle } from "./idle.ts";
import { type IndexChange, IndexChanges } from "./index-changes.ts";
import {
  emptyLayoutIndex,
  type LayoutIndex,
  parseLayoutIndex,
  serializeLayoutIndex,
} from "./layout-index.ts";
import { inSharedTurns } from "./shared-turns.ts";
import type { UploadFolder } from "./upload-folder.ts";

/**
 * How old a file must have been when it was read for its times to tell the next change of it: two
 * changes within one tick of the filesystem's clock look alike.
 */
const settledMs = 100;

/** The index as it was read or written last. */
interface Kept {
  readonly state: BigIntStats;
  readonly settled: boolean;
  readonly bytes: Buffer;
  readonly index: LayoutIndex;
}

/**
 * The index.json of one layout folder. Readers see the old or the new one, never a mixture. It is
 * parsed again only when it has changed, whoever changed it; the same state is the same object.
 */
export class IndexFile {
  readonly #directory: string;
  readonly #path: string;
  readonly #uploads: UploadFolder;
  readonly #changes: IndexChanges;
  readonly #use: () => void = whenIdle(() => (this.#kept = undefined));
  /** So that many readers of a large one that was just changed do not each hold its bytes. */
  readonly #readShared: () => Promise<LayoutIndex | undefined>;
  #kept: Kept | undefined;

  constructor(directory: string, uploads: UploadFolder) {
    this.#directory = directory;
    this.#path = join(directory, "index.json");
    this.#uploads = uploads;
    this.#readShared = inSharedTurns(() => this.#readBytes());
    this.#changes = new IndexChanges({
      alone: (work, options) => this.#locked(work, options),
      read: () => this.read(),
      write: (index) => this.#write(index),
    });
  }

  /** Rejects with NOT_FOUND when it is not there, INVALID_MANIFEST when it is no index. */
  async read(): Promise<LayoutIndex> {
    const index = await this.#readIfThere();
    if (index === undefined)
      throw new ModelError("NOT_FOUND", `${this.#directory} is no OCI layout: no index.json`);
    return index;
  }

  /**
   * Replaces it, durably, by what `edit` makes of it, with no other writer in between; writes
   * nothing when `edit` returns its argument. Callers at the same time share one write.
   * `afterwards` runs once that is durable, still with no other writer. Rejects with STORE_LOCKED,
   * NO_SPACE, STORE_IO, or what the two throw.
   */
  async update(edit: IndexChange["edit"], options?: Omit<IndexChange, "edit">): Promise<void> {
    await this.#changes.make({ ...options, edit });
  }

  /** Waits until no change of this process is under way, also none whose caller has left. */
  async settle(): Promise<void> {
    await this.#changes.settle();
  }

  /** Writes an empty one unless there is one. */
  async create(options?: Abortable): Promise<void> {
    await this.#locked(async () => {
      if ((await this.#readIfThere()) === undefined) await this.#write(emptyLayoutIndex);
    }, options);
  }

  async #readIfThere(): Promise<LayoutIndex | undefined> {
    this.#use();
    return onDisk(`read of ${this.#path}`, async () => {
      const kept = this.#kept;
      if (kept?.settled === true) {
        const now = await stat(this.#path, { bigint: true }).catch(undefinedIfMissing);
        if (now !== undefined && isSame(now, kept.state)) return kept.index;
      }
      return this.#readShared();
    });
  }

  async #readBytes(): Promise<LayoutIndex | undefined> {
    await using file = await open(this.#path, "r").catch(undefinedIfMissing);
    if (file === undefined) return undefined;
    const state = await file.stat({ bigint: true });
    const settled = Date.now() - Number(state.mtimeNs / 1_000_000n) > settledMs;
    const bytes = await file.readFile();
    const kept = this.#kept;
    const index =
      kept?.bytes.equals(bytes) === true ? kept.index : parseLayoutIndex(bytes, this.#path);
    this.#kept = { state, settled, bytes, index };
    return index;
  }

  #locked(work: () => Promise<void>, options: Abortable | undefined): Promise<void> {
    const locked = () => withFileLock(`${this.#path}.lock`, work, { signal: options?.signal });
    return onDisk(`update of ${this.#path}`, locked, this.#directory);
  }

  async #write(index: LayoutIndex): Promise<void> {
    const temporary = this.#uploads.newPath();
    const bytes = serializeLayoutIndex(index);
    try {
      await using file = await this.#uploads.open(temporary);
      await file.writeFile(bytes);
      await file.sync();
      await rename(temporary, this.#path);
      // Not settled: the next reader compares bytes, should another tool have been faster.
      const state = await file.stat({ bigint: true });
      this.#kept = { state, settled: false, bytes, index };
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await syncDirectory(this.#directory);
  }
}

function isSame(a: BigIntStats, b: BigIntStats): boolean {
  return a.ino === b.ino && a.size === b.size && a.mtimeNs === b.mtimeNs && a.ctimeNs === b.ctimeNs;
}
