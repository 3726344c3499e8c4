import type { Page } from "../../pack/chunk-memory.ts";

/** Bytes of a page (1 MiB): large writes cost less for each byte. */
export const pageBytes = 1_048_576;

/** Pages that blobs go through, used again and again: memory is that of the blobs under way. */
export interface PagePool {
  take(): Page;
  giveBack(page: Page): void;
}

/** Starts with none; makes one where none is free. */
export function createPagePool(): PagePool {
  const free: Page[] = [];
  return {
    take: () => free.pop() ?? new Uint8Array(new SharedArrayBuffer(pageBytes)),
    giveBack: (page) => void free.push(page),
  };
}
