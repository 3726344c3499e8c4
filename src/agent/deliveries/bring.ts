import { fileId } from "../../core/chunk-index.ts";
import { isModelError } from "../../core/errors.ts";
import type { RunOptions } from "../../core/progress.ts";
import { describeSystemError } from "../../core/system-error.ts";
import { type ConnectionOptions, connect } from "../../model/connection.ts";
import { describeFailure } from "../../model/failure.ts";
import { fillTree } from "../../model/pull.ts";
import type { PullWork } from "../../model/pull-work.ts";
import { chooseFiles, openModel } from "../../model/pulled-model.ts";
import type { Store } from "../../store/store.ts";
import { wholeFiles } from "../../store/whole-files.ts";
import type { TransferPool } from "../../transfer/transfer-pool.ts";
import type { Priority } from "../../transfer/turn-queue.ts";
import type { ReadyModel } from "../api/documents.ts";
import type { WantedModel } from "./delivery.ts";

interface BringOptions extends RunOptions {
  readonly connection: ConnectionOptions;
  /** Asked whenever it counts: a mount may join a prefetch. */
  readonly priority: () => Priority;
}

/** Makes a model present and its tree visible. */
export type Bring = (model: WantedModel, options: BringOptions) => Promise<ReadyModel>;

export interface BringMeans {
  readonly store: Store;
  readonly transfers: TransferPool;
  /** Evicts what nobody uses, until this many bytes more can be written if that can be. */
  readonly makeRoom: (bytes: number) => Promise<void>;
}

/** Brings models into one store. Rejects as `pull` does; a full disk is first made room on, once. */
export function createBring(means: BringMeans): Bring {
  return async (model, options) => {
    try {
      return await bring(means, model, options);
    } catch (error) {
      throw describeFailure(error, "pull", options.signal, [means.store.paths.root]);
    }
  };
}

async function bring(
  means: BringMeans,
  { reference, digest, ...selection }: WantedModel,
  { connection: how, priority, signal, onProgress }: BringOptions,
): Promise<ReadyModel> {
  const { store } = means;
  await using connection = await connect(reference, { ...how, signal });
  const { repository } = connection;
  await using transfer = means.transfers.open(repository, { priority });
  const onNew = () => transfer.disk.start();
  const target = { repository, reference, digest };
  using opened = await openModel(store, target, { signal, isHere: false, onNew });
  const files = chooseFiles(opened.model.index, selection, opened.model.name);
  const { tag } = reference;
  const work = { repository, opened, files, tag, transfer, signal, onProgress };
  const totalBytes = files.reduce((sum, file) => sum + file.size, 0);
  const {
    path,
    name,
    treeId,
    selection: chosen,
    bytes,
  } = await fillWithRoom(means, work, totalBytes);
  const { moved } = bytes;
  const count = files.length;
  return {
    name,
    digest,
    treeId,
    selection: chosen,
    tree: path,
    bytes: totalBytes,
    files: count,
    moved,
  };
}

/** Where the disk is full, evicts as much as is missing and tries once more. */
async function fillWithRoom({ store, makeRoom }: BringMeans, work: PullWork, totalBytes: number) {
  const { files, onProgress } = work;
  const fill = () => {
    onProgress?.({ type: "start", activity: "pull", totalBytes, files: files.length });
    return fillTree(store, work);
  };
  try {
    return await fill();
  } catch (error) {
    const failure = describeSystemError(error, [store.paths.root]);
    if (!isModelError(failure, "NO_SPACE")) throw error;
    const whole = await wholeFiles(
      store.paths,
      files.map((file) => ({ id: fileId(file) })),
    );
    const absent = files.filter((file) => !whole.has(fileId(file)));
    await makeRoom(absent.reduce((sum, file) => sum + file.size, 0));
    return fill();
  }
}
