import { statfs } from "node:fs/promises";
import { ModelError } from "../core/errors.ts";

/** Bytes that stay free beside all reservations, for the filesystem's metadata: 1 %, at most 64 MiB. */
const marginShare = 0.01;
const maxMarginBytes = 67_108_864;

const storeHint =
  "free space there, evict models with `ballast store gc --max-bytes SIZE`, or choose another place";
const outputHint = "free space there, or choose another folder";

/** Keeps the promises of disk space: what accepted pulls still have to write. */
export interface Ledger {
  /** Bytes promised and not yet written. */
  readonly reservedBytes: number;
  /**
   * Promises `bytes` on the filesystem of the store; dispose to give back what was not `spent`.
   * Rejects with NO_SPACE and the numbers when free space less other promises is short.
   */
  reserve(bytes: number): Promise<Reservation>;
  /** Rejects with NO_SPACE and the numbers when fewer than `count` inodes are left there. */
  requireInodes(count: number): Promise<void>;
}

export interface Reservation extends Disposable {
  /** Turns promised bytes into written ones. */
  spend(bytes: number): void;
}

/** Opens the ledger of the filesystem that holds a store, or of one inside an output folder. */
export function createLedger(
  root: string,
  { outputFolder }: { readonly outputFolder?: string | undefined } = {},
): Ledger {
  let reserved = 0;
  const place = outputFolder ?? root;
  const hint = outputFolder === undefined ? storeHint : outputHint;
  return {
    get reservedBytes() {
      return reserved;
    },
    reserve: async (bytes) => {
      const free = await usableBytes(root);
      if (bytes > 0 && bytes + reserved > free)
        throw new ModelError("NO_SPACE", shortage(place, bytes, reserved, free), { hint });
      let left = bytes;
      reserved += bytes;
      const take = (count: number) => {
        const taken = Math.min(left, count);
        left -= taken;
        reserved -= taken;
      };
      return { spend: take, [Symbol.dispose]: () => take(left) };
    },
    requireInodes: async (count) => {
      const { files, ffree } = await statfs(root);
      // Filesystems that do not count inodes say 0.
      if (files === 0 || count <= ffree) return;
      const message = `not enough inodes at ${place}: ${count} files to make, ${ffree} inodes free`;
      throw new ModelError("NO_SPACE", message, { hint });
    },
  };
}

async function usableBytes(path: string): Promise<number> {
  const { bavail, blocks, bsize } = await statfs(path);
  const margin = Math.min(maxMarginBytes, blocks * bsize * marginShare);
  return Math.max(0, Math.floor(bavail * bsize - margin));
}

function shortage(root: string, bytes: number, reserved: number, free: number): string {
  const promised = reserved > 0 ? `, ${reserved} of them promised to running pulls` : "";
  return `not enough space at ${root}: ${bytes} bytes to write, ${free} usable${promised}`;
}
