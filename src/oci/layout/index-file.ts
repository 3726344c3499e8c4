import { readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { undefinedIfMissing } from "../../core/absence.ts";
import { syncDirectory } from "../../core/durable-file.ts";
import { ModelError } from "../../core/errors.ts";
import { withFileLock } from "../../core/file-lock.ts";
import type { Abortable } from "../../core/progress.ts";
import { onDisk } from "../../core/system-error.ts";
import {
  emptyLayoutIndex,
  type LayoutIndex,
  parseLayoutIndex,
  serializeLayoutIndex,
} from "./layout-index.ts";
import type { UploadFolder } from "./upload-folder.ts";

/** The index.json of one layout folder. Readers see the old or the new one, never a mixture. */
export class IndexFile {
  readonly #directory: string;
  readonly #path: string;
  readonly #uploads: UploadFolder;
  /** Callers in this process queue here, so that they do not poll for the lock file. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(directory: string, uploads: UploadFolder) {
    this.#directory = directory;
    this.#path = join(directory, "index.json");
    this.#uploads = uploads;
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
   * nothing when `edit` returns its argument. Rejects with STORE_LOCKED, NO_SPACE, STORE_IO.
   */
  async update(
    edit: (index: LayoutIndex) => LayoutIndex | Promise<LayoutIndex>,
    options?: Abortable,
  ): Promise<void> {
    await this.#locked(async () => {
      const before = await this.read();
      const after = await edit(before);
      if (after !== before) await this.#write(after);
    }, options);
  }

  /** Writes an empty one unless there is one. */
  async create(options?: Abortable): Promise<void> {
    await this.#locked(async () => {
      if ((await this.#readIfThere()) === undefined) await this.#write(emptyLayoutIndex);
    }, options);
  }

  async #readIfThere(): Promise<LayoutIndex | undefined> {
    const path = this.#path;
    const bytes = await onDisk(`read of ${path}`, () => readFile(path).catch(undefinedIfMissing));
    return bytes === undefined ? undefined : parseLayoutIndex(bytes, path);
  }

  #locked(work: () => Promise<void>, options: Abortable | undefined): Promise<void> {
    const locked = () => withFileLock(`${this.#path}.lock`, work, { signal: options?.signal });
    const update = () => onDisk(`update of ${this.#path}`, locked, this.#directory);
    const mine = this.#last.then(update);
    this.#last = mine.catch(() => undefined);
    return mine;
  }

  async #write(index: LayoutIndex): Promise<void> {
    const temporary = this.#uploads.newPath();
    try {
      await using file = await this.#uploads.open(temporary);
      await file.writeFile(serializeLayoutIndex(index));
      await file.sync();
      await rename(temporary, this.#path);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    await syncDirectory(this.#directory);
  }
}
