import { crc32 } from "node:zlib";

/**
 * The record of which chunks of an unfinished file are on disk and verified. Text lines, each with
 * a crc32: a header `ballast-journal 1 <boot id> <crc>`, then `<chunk number> <crc>` each.
 */
export interface Journal {
  /** The boot in which all records were made, or undefined when that is not sure. */
  readonly bootId: string | undefined;
  /** Numbers of chunks, in the order they were verified. */
  readonly chunks: readonly number[];
  /** False when a damaged line was found: what stands behind it is not in `chunks`. */
  readonly intact: boolean;
  /** The last line was cut off while it was written; nothing can stand behind it. */
  readonly torn: boolean;
}

/** The first line of a journal. */
export function journalHeader(bootId: string | undefined): string {
  return line(`ballast-journal 1 ${bootId ?? "unknown"}`);
}

/** The line that says chunk number `chunk` is verified. */
export function journalRecord(chunk: number): string {
  return line(String(chunk));
}

/** Reads a journal up to its first damaged line; undefined when even the header is damaged. */
export function parseJournal(text: string): Journal | undefined {
  const [first = "", ...lines] = text.split("\n");
  const header = checked(first)?.split(" ");
  if (header?.length !== 3 || header[0] !== "ballast-journal" || header[1] !== "1")
    return undefined;
  const bootId = header[2] === "unknown" ? undefined : header[2];
  const torn = lines.pop() !== "";
  const chunks: number[] = [];
  for (const each of lines) {
    const body = checked(each);
    if (body === undefined || !/^\d{1,9}$/.test(body))
      return { bootId, chunks, intact: false, torn };
    chunks.push(Number(body));
  }
  return { bootId, chunks, intact: true, torn };
}

function line(body: string): string {
  return `${body} ${checksum(body)}\n`;
}

function checked(text: string): string | undefined {
  const cut = text.lastIndexOf(" ");
  const body = text.slice(0, Math.max(0, cut));
  return checksum(body) === text.slice(cut + 1) ? body : undefined;
}

function checksum(body: string): string {
  return crc32(body).toString(16).padStart(8, "0");
}
