/** Memory is handed out in pages of this many bytes (1 MiB), so it never falls to pieces. */
const pageBytes = 1_048_576;

/** A page, shared with the threads that fill it. */
export type Page = Uint8Array<SharedArrayBuffer>;

/** Memory for one or more chunks that lie in it end to end. */
export interface MemoryGrant {
  /** All of equal size; of the last one only a part may be needed. */
  readonly pages: readonly Page[];
  /** Gives `length` bytes from `start` of the grant back; each byte once. */
  giveBack(start: number, length: number): void;
}

/** A fixed amount of shared memory. Disposing it leaves grants valid until they are given back. */
export interface ChunkMemory extends Disposable {
  /** Bytes of the pages that are granted and not given back; never above the budget. */
  readonly used: number;
  /** Grants pages for `size` bytes, or undefined while there are not so many. */
  grant(size: number): MemoryGrant | undefined;
}

/**
 * Slabs that nobody uses, until the collector takes them. It hardly knows how large they are: what
 * is made anew for each layer of a big model would pile up, and costs page faults.
 */
let spares: WeakRef<SharedArrayBuffer>[] = [];

/** Makes `budgetBytes` of shared memory, rounded down to pages; `onGiveBack` hears of each return. */
export function createChunkMemory(budgetBytes: number, onGiveBack: () => void): ChunkMemory {
  const pageCount = Math.floor(budgetBytes / pageBytes);
  const slab = openSlab(pageCount * pageBytes);
  const free = Array.from({ length: pageCount }, (_, at) => pageCount - 1 - at);
  let disposed = false;

  function giveBackPage(page: number): void {
    free.push(page);
    if (!disposed) onGiveBack();
    else if (free.length === pageCount) spares.push(new WeakRef(slab));
  }

  return {
    get used() {
      return (pageCount - free.length) * pageBytes;
    },
    grant(size) {
      const needed = Math.ceil(size / pageBytes);
      if (needed > free.length) return undefined;
      const numbers = free.splice(free.length - needed).reverse();
      return createGrant(numbers, { slab, size, giveBackPage });
    },
    [Symbol.dispose]() {
      if (!disposed && free.length === pageCount) spares.push(new WeakRef(slab));
      disposed = true;
    },
  };
}

/** The bytes from `start` to `end` of pages that lie end to end, in pieces of at most a page. */
export function slicePages(pages: readonly Page[], start: number, end: number): Page[] {
  const pieces: Page[] = [];
  for (let at = start; at < end; ) {
    const from = at % pageBytes;
    const length = Math.min(end - at, pageBytes - from);
    const page = pages[Math.floor(at / pageBytes)];
    if (page === undefined) throw new RangeError(`the pages end before byte ${end}`);
    pieces.push(page.subarray(from, from + length));
    at += length;
  }
  return pieces;
}

function createGrant(
  numbers: readonly number[],
  owner: {
    readonly slab: SharedArrayBuffer;
    readonly size: number;
    readonly giveBackPage: (page: number) => void;
  },
): MemoryGrant {
  const { slab, size, giveBackPage } = owner;
  const left = numbers.map((_, at) => Math.min(pageBytes, size - at * pageBytes));
  return {
    pages: numbers.map((number) => new Uint8Array(slab, number * pageBytes, pageBytes)),
    giveBack(start, length) {
      for (let at = start; at < start + length; ) {
        const index = Math.floor(at / pageBytes);
        const part = Math.min(start + length, (index + 1) * pageBytes) - at;
        const rest = (left[index] ?? 0) - part;
        left[index] = rest;
        const number = numbers[index];
        if (rest === 0 && number !== undefined) giveBackPage(number);
        at += part;
      }
    },
  };
}

function openSlab(bytes: number): SharedArrayBuffer {
  spares = spares.filter((spare) => spare.deref() !== undefined);
  const at = spares.findIndex((spare) => spare.deref()?.byteLength === bytes);
  const [taken] = at === -1 ? [] : spares.splice(at, 1);
  return taken?.deref() ?? new SharedArrayBuffer(bytes);
}
