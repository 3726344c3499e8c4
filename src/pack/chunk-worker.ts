import { parentPort } from "node:worker_threads";
import { createDigestHash, type Digest, type DigestHash } from "../core/digest.ts";
import { answerQuestions } from "../core/worker-thread.ts";
import type { SourceFile } from "../source/source.ts";
import { type CheckedFile, openCheckedFile } from "./checked-file.ts";
import { type ChunkPlan, planChunks } from "./chunk-bounds.ts";
import { type Page, slicePages } from "./chunk-memory.ts";
import { startContentScan } from "./content-bounds.ts";
import type { FileSpan, FoundEnd, ReadAnswer, ReadQuestion } from "./read-question.ts";

/** The file read last stays open: its next chunk is likely the next question. */
let current: { readonly location: string; readonly opened: CheckedFile } | undefined;

answerQuestions<ReadQuestion, ReadAnswer, FoundEnd>(parentPort, async (question, tell) => {
  switch (question.kind) {
    case "plan":
      return { kind: "plan", plan: await planFile(question.file) };
    case "spans":
      return { kind: "digests", digests: readSpans(question.spans, question.into) };
    case "content": {
      const { span, into } = question;
      const digest = readChecked(span.file, (opened) => readContent(opened, { span, into, tell }));
      return { kind: "digests", digests: [digest] };
    }
    case "hash":
      return { kind: "digests", digests: [hashPages(question.bytes)] };
  }
});

function hashPages(pages: readonly Page[]): Digest {
  const hash = createDigestHash();
  for (const page of pages) hash.update(page);
  return hash.digest();
}

async function planFile(file: SourceFile): Promise<ChunkPlan> {
  using opened = openCheckedFile(file);
  const plan = await planChunks(file, (offset, length) => {
    const bytes = new Uint8Array(Math.max(0, Math.min(length, file.size - offset)));
    opened.readInto(bytes, offset);
    return Promise.resolve(bytes);
  });
  opened.check();
  return plan;
}

function readSpans(spans: readonly FileSpan[], into: readonly Page[]): Digest[] {
  let start = 0;
  return spans.map(({ file, offset, size }) => {
    const pieces = slicePages(into, start, start + size);
    start += size;
    return readChecked(file, (opened) => hashPieces(opened, pieces, offset));
  });
}

/** Reads from a file that is checked before and after. */
function readChecked<T>(file: SourceFile, read: (opened: CheckedFile) => T): T {
  if (current?.location !== file.location) {
    current?.opened[Symbol.dispose]();
    current = undefined;
    current = { location: file.location, opened: openCheckedFile(file) };
  }
  const result = read(current.opened);
  current.opened.check();
  return result;
}

function hashPieces(opened: CheckedFile, pieces: readonly Page[], offset: number): Digest {
  const hash = createDigestHash();
  readPieces(opened, pieces, { offset, hash });
  return hash.digest();
}

/** Piece by piece, so that the hash finds in the processor's cache what the read left there. */
function readPieces(
  opened: CheckedFile,
  pieces: readonly Page[],
  { offset, hash }: { readonly offset: number; readonly hash: DigestHash },
): void {
  let at = offset;
  for (const piece of pieces) {
    opened.readInto(piece, at);
    hash.update(piece);
    at += piece.byteLength;
  }
}

/** Finds the end first and tells it, so that another thread can begin the next chunk meanwhile. */
function readContent(
  opened: CheckedFile,
  question: {
    readonly span: FileSpan;
    readonly into: readonly Page[];
    readonly tell: (found: FoundEnd) => void;
  },
): Digest {
  const { span, into, tell } = question;
  const { file, offset } = span;
  const scan = startContentScan(file.size - offset);
  if (typeof scan === "number") {
    tell({ size: scan });
    return hashPieces(opened, slicePages(into, 0, scan), offset);
  }
  let at = scan.from;
  let size: number | undefined;
  for (const piece of slicePages(into, scan.from, span.size)) {
    opened.readInto(piece, offset + at);
    size = scan.push(piece);
    at += piece.byteLength;
    if (size !== undefined) break;
  }
  if (size === undefined) throw new Error(`no end was found of a chunk of ${file.path}`);
  tell({ size });
  const hash = createDigestHash();
  readPieces(opened, slicePages(into, 0, scan.from), { offset, hash });
  for (const piece of slicePages(into, scan.from, size)) hash.update(piece);
  return hash.digest();
}
