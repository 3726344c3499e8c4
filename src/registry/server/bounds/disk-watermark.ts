import { statfs } from "node:fs/promises";
import { ProtocolError } from "../errors.ts";
import type { RegistryLimits } from "../limits.ts";

/** How long an answer of the filesystem counts. */
const freshMs = 500;

/** How full the disk may get by uploads. */
export interface DiskWatermark {
  /** Says what is short; undefined while `more` bytes may come. */
  shortage(more?: number): Promise<string | undefined>;
  /** Free bytes of the disk. */
  free(): Promise<number>;
  /** Throws 507 before the first byte where `more` bytes may not come. */
  admit(more: number): Promise<void>;
}

export function createDiskWatermark(
  root: string,
  { minFreeBytes = 0, minFreeShare = 0 }: RegistryLimits,
): DiskWatermark {
  let asked = { at: Number.NEGATIVE_INFINITY, free: Promise.resolve({ bytes: 0, total: 0 }) };
  const room = () => {
    if (performance.now() - asked.at > freshMs) asked = { at: performance.now(), free: ask(root) };
    return asked.free;
  };
  const shortage = async (more = 0) => {
    if (minFreeBytes === 0 && minFreeShare === 0) return undefined;
    const { bytes, total } = await room();
    const wanted = Math.max(minFreeBytes, total * minFreeShare);
    return bytes - more >= wanted
      ? undefined
      : `${bytes} bytes are free, and ${Math.ceil(wanted)} are to stay free`;
  };
  const admit = async (more: number) => {
    if ((await shortage(more)) === undefined) return;
    throw new ProtocolError(507, {
      code: "UNKNOWN",
      message: "the registry's disk is nearly full: it takes no uploads",
    });
  };
  return { free: async () => (await room()).bytes, shortage, admit };
}

async function ask(root: string): Promise<{ bytes: number; total: number }> {
  const { bavail, blocks, bsize } = await statfs(root);
  return { bytes: bavail * bsize, total: blocks * bsize };
}
