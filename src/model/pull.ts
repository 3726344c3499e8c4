import { join, resolve } from "node:path";
import type { Digest } from "../core/digest.ts";
import { ModelError, systemCode } from "../core/errors.ts";
import { makeFolder } from "../core/make-folder.ts";
import { parseReference } from "../core/reference.ts";
import type { Selection } from "../core/selection.ts";
import { openStore, type Store } from "../store/store.ts";
import type { OpenStoreOptions } from "../store/store-root.ts";
import { buildTree } from "../store/tree.ts";
import { openTransfer } from "../transfer/transfer.ts";
import { type CallOptions, connect, type RequestCounts } from "./connection.ts";
import { describeFailure } from "./failure.ts";
import { fillFolder } from "./fill-folder.ts";
import { stateFolder } from "./output-folder.ts";
import { describePull, type Pulled, type PullWork, selectionOf } from "./pull-work.ts";
import { bringFiles, chooseFiles, openModel, type PullTarget } from "./pulled-model.ts";
import { readPulledState } from "./pulled-state.ts";
import { resolveDigest } from "./resolve.ts";
import { collectWarnings } from "./warnings.ts";

export interface PullOptions extends CallOptions, Selection {
  readonly reference: string;
  /** Folder for the files. Without it the model goes into the store. */
  readonly output?: string | undefined;
  /** Root of the store. Needed without `output`; with it the files are copied out of the store. */
  readonly store?: string | undefined;
  /** With `output` and `store`: hard links instead of copies. The files are then read-only for good. */
  readonly link?: boolean | undefined;
  /** Replace files in `output` that are no unchanged leftovers of an earlier pull. */
  readonly overwrite?: boolean | undefined;
  /** Wait while another process has the store open, instead of rejecting with STORE_LOCKED. */
  readonly waitForLock?: boolean | undefined;
}

export interface PullResult {
  /** The folder that holds the files, absolute: `output`, or the tree in the store. */
  readonly path: string;
  /** `repository@sha256:...` */
  readonly name: string;
  readonly digest: Digest;
  /** What the tag named at the last pull into the same place, when that was something else. */
  readonly previousDigest: Digest | undefined;
  readonly treeId: string;
  /** `all`, or the hash of the chosen paths. */
  readonly selection: string;
  readonly files: number;
  readonly bytes: { readonly total: number; readonly moved: number; readonly reused: number };
  /** Files of an earlier pull into `output` that this model does not have, now removed. */
  readonly removed: readonly string[];
  readonly requests: RequestCounts;
  readonly warnings: readonly string[];
}

/**
 * Brings a model to this machine, every byte verified before it is visible. Idempotent: what is
 * here already, also from an interrupted run, is not fetched again. Rejects with a ModelError.
 */
export async function pull(options: PullOptions): Promise<PullResult> {
  try {
    return await pullModel(options);
  } catch (error) {
    const places = [options.store, options.output].filter((place) => place !== undefined);
    throw describeFailure(
      error,
      "pull",
      options.signal,
      places.map((place) => resolve(place)),
    );
  }
}

async function pullModel(options: PullOptions): Promise<PullResult> {
  const { output, store, link } = options;
  const reference = parseReference(options.reference);
  if (output === undefined && store === undefined)
    throw new ModelError("INVALID_ARGUMENT", "neither an output folder nor a store is named");
  if (link === true && (output === undefined || store === undefined))
    throw new ModelError("INVALID_ARGUMENT", "link needs both an output folder and a store");
  const { warnings, onProgress } = collectWarnings(options.onProgress);
  await using connection = await connect(reference, options);
  const { repository } = connection;
  // Before any folder is made: a reference that names nothing leaves no trace.
  const digest = await resolveDigest(repository, reference, options);
  const target = { repository, reference, digest };
  const pulled = await pullFrom(target, {
    ...options,
    output: output === undefined ? undefined : resolve(output),
    store: store === undefined ? undefined : resolve(store),
    onProgress,
  });
  return { ...pulled, requests: connection.requests, warnings };
}

/** Where the files go: a folder, the store inside it, and a store to keep the model in. */
interface PullPlaces {
  readonly folder: Store | undefined;
  readonly store: Store | undefined;
}

async function pullFrom(target: PullTarget, options: PullOptions): Promise<Pulled> {
  const { output, store: root } = options;
  if (output !== undefined) await makeFolder(output);
  await using folder =
    output === undefined
      ? undefined
      : await open(join(output, stateFolder), options, { outputFolder: output });
  await using store =
    root === undefined ? undefined : await open(root, options, { orReadOnly: true });
  try {
    return await pullInto({ folder, store }, target, options);
  } catch (error) {
    if (store?.isReadOnly !== true || !isRefusedWrite(error)) throw error;
    throw new ModelError(
      "STORE_IO",
      `the store ${store.paths.root} is read-only and does not hold these files of ${options.reference}`,
      {
        hint: "name another store with --store, or pull into a folder with -o alone",
        cause: error,
      },
    );
  }
}

/** Node's recursive mkdir says ENOENT on a read-only filesystem. */
function isRefusedWrite(error: unknown): boolean {
  const code = systemCode(error);
  const isFolder = error instanceof Error && "syscall" in error && error.syscall === "mkdir";
  return code === "EROFS" || (code === "ENOENT" && isFolder);
}

async function pullInto(
  { folder, store }: PullPlaces,
  target: PullTarget,
  options: PullOptions,
): Promise<Pulled> {
  const { output, onProgress } = options;
  const holder = store ?? folder;
  if (holder === undefined) throw new Error("a pull to nowhere");
  const last = folder === undefined ? undefined : await readPulledState(folder.paths.root);
  const isHere = last?.repository === target.repository.name && last.manifest === target.digest;
  const { repository, reference } = target;
  await using transfer = openTransfer(repository, options.transfer);
  const onNew = () => transfer.disk.start();
  using opened = await openModel(holder, target, { ...options, isHere, onNew });
  const files = chooseFiles(opened.model.index, options, opened.model.name);
  const totalBytes = files.reduce((sum, file) => sum + file.size, 0);
  onProgress?.({ type: "start", activity: "pull", totalBytes, files: files.length });
  const { signal, overwrite = false, link = false } = options;
  const work = { repository, opened, files, tag: reference.tag, transfer, signal, onProgress };
  return output === undefined || folder === undefined
    ? await fillTree(holder, work)
    : await fillFolder({ ...work, output, folder, store, last, overwrite, link });
}

function open(
  root: string,
  { waitForLock, signal, onProgress }: PullOptions,
  kind: Pick<OpenStoreOptions, "outputFolder" | "orReadOnly">,
): Promise<Store> {
  const message = "waiting for another process to finish with the store";
  const onWait = () => onProgress?.({ type: "notice", message });
  return openStore(root, { ...kind, wait: waitForLock, signal, onWait });
}

/** Makes the chosen files present in a store, and the tree that shows them. Idempotent. */
export async function fillTree(store: Store, work: PullWork): Promise<Pulled> {
  const { opened, files } = work;
  const bytes = await bringFiles(store, work);
  const { treeId } = opened.record;
  const selection = selectionOf(opened, files);
  const path = await buildTree(store.paths, { treeId, selection, files });
  return describePull(work, { path, bytes });
}
