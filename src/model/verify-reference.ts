import type { ChunkIndex, IndexedFile } from "../core/chunk-index.ts";
import { createDigestHash, type Digest } from "../core/digest.ts";
import { isModelError } from "../core/errors.ts";
import { parseReference } from "../core/reference.ts";
import type { Repository } from "../oci/repository.ts";
import { type FetchRange, planFetches } from "../transfer/fetch-plan.ts";
import type { RangeReader } from "../transfer/range-reader.ts";
import { openTransfer } from "../transfer/transfer.ts";
import { type CallOptions, connect } from "./connection.ts";
import { resolveModel } from "./resolve.ts";
import {
  announceVerify,
  claimProblem,
  needsWholeDigest,
  reportVerify,
  type VerifyProblem,
  type VerifyResult,
} from "./verify-report.ts";

/** Reads every byte of a model where it is served from, without keeping any. */
export async function verifyReference(text: string, options: CallOptions): Promise<VerifyResult> {
  const reference = parseReference(text);
  await using connection = await connect(reference, options);
  const { repository } = connection;
  const model = await resolveModel(repository, reference, options);
  const { files } = model.index;
  announceVerify(files, options);
  const problems = await checkChunks(repository, model.index, options);
  const wrong = new Set(problems.map(({ path }) => path));
  for (const file of files.filter(({ path }) => !wrong.has(path))) {
    const needed = needsWholeDigest(file);
    const actual = needed ? await wholeDigest(repository, model.index, file, options) : undefined;
    const problem = claimProblem(file, actual);
    if (problem !== undefined) problems.push({ path: file.path, problem });
  }
  return reportVerify(model, files, problems);
}

/** Reads each chunk once, however many files have it. */
async function checkChunks(
  repository: Repository,
  { files, layers }: ChunkIndex,
  options: CallOptions,
): Promise<VerifyProblem[]> {
  const { signal, onProgress } = options;
  const onChecked = ({ path, size: fileSize }: IndexedFile, bytes: number) =>
    onProgress?.({ type: "bytes", path, fileSize, bytes, how: "checked" });
  const wanted = files.flatMap((file) => file.chunks.map((chunk) => ({ chunk, target: file })));
  await using transfer = openTransfer(repository, options.transfer);
  const { reader } = transfer;
  const { ranges, repeats } = planFetches(wanted, transfer.rangeBytes);
  const problems = new Map<Digest, string>();
  const checkOne = async (range: FetchRange<IndexedFile>) => {
    const layer = layers[range.layer]?.digest;
    if (layer === undefined) throw new Error(`no layer ${range.layer}`);
    for (const found of await checkRange(reader, range, { layer, signal })) problems.set(...found);
    for (const { chunk, target } of range.wanted) onChecked(target, chunk.size);
    return [];
  };
  await transfer.forEachRange(ranges, checkOne, { signal });
  for (const { to } of repeats) onChecked(to.target, to.chunk.size);
  return files.flatMap(({ path, chunks }) => {
    const found = new Set(chunks.flatMap(({ digest }) => problems.get(digest) ?? []));
    return [...found].map((problem) => ({ path, problem }));
  });
}

/** What is wrong with chunks of one range, by their digest. */
async function checkRange(
  reader: RangeReader,
  { offset, length, wanted }: FetchRange<IndexedFile>,
  { layer, signal }: { readonly layer: Digest; readonly signal: AbortSignal | undefined },
): Promise<[Digest, string][]> {
  const slices = wanted.map(({ chunk }) => ({ path: undefined, offset: 0, size: chunk.size }));
  const digests = await readOrProblem(() =>
    reader.readInto({ layer, offset, length }, slices, { signal }),
  );
  if (typeof digests === "string") return wanted.map(({ chunk }) => [chunk.digest, digests]);
  const wrong = wanted.filter(({ chunk }, at) => digests[at] !== chunk.digest);
  return wrong.map(({ chunk: { digest, offset: at } }) => [
    digest,
    `chunk ${digest} is wrong at byte ${at} of layer ${layer}`,
  ]);
}

/**
 * A layer that is gone, or shorter than the manifest says (REGISTRY_PROTOCOL), is a finding;
 * everything else a failure.
 */
async function readOrProblem<T>(read: () => Promise<T>): Promise<T | string> {
  try {
    return await read();
  } catch (error) {
    if (isModelError(error, "NOT_FOUND", "REGISTRY_PROTOCOL")) return error.message;
    throw error;
  }
}

async function wholeDigest(
  repository: Repository,
  { layers }: ChunkIndex,
  { chunks }: IndexedFile,
  { signal }: CallOptions,
): Promise<Digest> {
  const hash = createDigestHash();
  for (const { layer, offset, size: length } of chunks) {
    const blob = layers[layer]?.digest;
    if (blob === undefined) throw new Error(`no layer ${layer}`);
    const range = { offset, length };
    for await (const bytes of repository.readBlob(blob, { range, signal })) hash.update(bytes);
  }
  return hash.digest();
}
