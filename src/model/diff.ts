import { fileId, type IndexedFile } from "../core/chunk-index.ts";
import type { Digest } from "../core/digest.ts";
import { comparePaths } from "../core/model-path.ts";
import { parseReference } from "../core/reference.ts";
import type { Tensor } from "../core/tensor-header.ts";
import type { CallOptions } from "./connection.ts";
import { connect } from "./connection.ts";
import { describeFailure } from "./failure.ts";
import { readTensors } from "./remote-tensors.ts";
import { type ResolvedModel, resolveModel } from "./resolve.ts";

export interface DiffOptions extends CallOptions {
  readonly from: string;
  readonly to: string;
}

interface DiffedFile {
  readonly path: string;
  readonly change: "added" | "removed" | "changed";
  readonly size: number;
  /** Bytes of it that someone who has `from` must fetch. */
  readonly moved: number;
}

export interface DiffResult {
  readonly from: string;
  readonly to: string;
  /** `moved` is what `to` costs someone who has `from`. */
  readonly bytes: { readonly total: number; readonly moved: number; readonly reused: number };
  /** Files that differ, sorted by path. */
  readonly files: readonly DiffedFile[];
  readonly unchangedFiles: number;
  /** Names of tensors, sorted. `changed` lists those with bytes in a chunk that must move. */
  readonly tensors: {
    readonly added: readonly string[];
    readonly removed: readonly string[];
    readonly changed: readonly string[];
    readonly unchanged: number;
  };
}

/** Compares two models by their indexes: no weights move. Rejects with a ModelError. */
export async function diff(options: DiffOptions): Promise<DiffResult> {
  try {
    return await diffModels(options);
  } catch (error) {
    throw describeFailure(error, "comparison", options.signal);
  }
}

async function diffModels(options: DiffOptions): Promise<DiffResult> {
  const [from, to] = [await openSide(options.from, options), await openSide(options.to, options)];
  const before = new Map(from.model.index.files.map((file) => [file.path, file]));
  const known = chunkDigests(from.model.index.files);
  const after = new Map(to.model.index.files.map((file) => [file.path, file]));
  const changes = [...after.values()].flatMap((file) =>
    compareFile(file, before.get(file.path), known),
  );
  const removed = [...before.values()].filter((file) => !after.has(file.path));
  const files: DiffedFile[] = [
    ...changes,
    ...removed.map(({ path, size }) => ({ path, change: "removed" as const, size, moved: 0 })),
  ];
  const total = to.model.index.files.reduce((sum, file) => sum + file.size, 0);
  const moved = missingBytes(
    to.model.index.files.flatMap((file) => file.chunks),
    known,
  );
  return {
    from: from.model.name,
    to: to.model.name,
    bytes: { total, moved, reused: total - moved },
    files: files.sort((a, b) => comparePaths(a.path, b.path)),
    unchangedFiles: after.size - changes.length,
    tensors: compareTensors(from.tensors, to.tensors, known),
  };
}

interface Side {
  readonly model: ResolvedModel;
  readonly tensors: ReadonlyMap<IndexedFile, readonly Tensor[]>;
}

async function openSide(text: string, options: DiffOptions): Promise<Side> {
  const reference = parseReference(text);
  await using connection = await connect(reference, options);
  const { repository } = connection;
  const model = await resolveModel(repository, reference, options);
  return { model, tensors: await readTensors(repository, model.index, options) };
}

function compareFile(
  file: IndexedFile,
  before: IndexedFile | undefined,
  known: ReadonlySet<Digest>,
): DiffedFile[] {
  if (before !== undefined && fileId(before) === fileId(file)) return [];
  const change = before === undefined ? "added" : "changed";
  return [{ path: file.path, change, size: file.size, moved: missingBytes(file.chunks, known) }];
}

function chunkDigests(files: readonly IndexedFile[]): Set<Digest> {
  return new Set(files.flatMap((file) => file.chunks.map((chunk) => chunk.digest)));
}

function missingBytes(chunks: IndexedFile["chunks"], known: ReadonlySet<Digest>): number {
  const missing = new Map(
    chunks.filter(({ digest }) => !known.has(digest)).map(({ digest, size }) => [digest, size]),
  );
  return [...missing.values()].reduce((sum, size) => sum + size, 0);
}

function compareTensors(
  from: Side["tensors"],
  to: Side["tensors"],
  known: ReadonlySet<Digest>,
): DiffResult["tensors"] {
  const before = new Map([...from.values()].flat().map((tensor) => [tensor.name, tensor]));
  const after = new Map(
    [...to].flatMap(([file, tensors]) => tensors.map((tensor) => [tensor.name, { tensor, file }])),
  );
  const common = [...after].filter(([name]) => before.has(name));
  const changed = common.filter(
    ([name, { tensor, file }]) =>
      !sameKind(tensor, before.get(name)) || !isCovered(tensor, file, known),
  );
  return {
    added: [...after.keys()].filter((name) => !before.has(name)).sort(),
    removed: [...before.keys()].filter((name) => !after.has(name)).sort(),
    changed: changed.map(([name]) => name).sort(),
    unchanged: common.length - changed.length,
  };
}

function sameKind(a: Tensor, b: Tensor | undefined): boolean {
  return a.dtype === b?.dtype && a.shape.join() === b.shape.join();
}

/** Whether every chunk that holds bytes of the tensor is known. */
function isCovered(tensor: Tensor, file: IndexedFile, known: ReadonlySet<Digest>): boolean {
  let offset = 0;
  return file.chunks.every(({ digest, size }) => {
    const [start, end] = [offset, offset + size];
    offset = end;
    const overlaps = start < tensor.offset + tensor.size && end > tensor.offset;
    return !overlaps || known.has(digest);
  });
}
