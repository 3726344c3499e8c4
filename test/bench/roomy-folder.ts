import { execFile } from "node:child_process";
import { mkdir, rm, statfs, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { toolPath } from "../support/programs.ts";
import type { Bench } from "./bench.ts";
import { removeFolder } from "./remove-folder.ts";
import { unmountBelow } from "./unmount.ts";

const run = promisify(execFile);

/** Bytes of memory or disk to have for a made-up model of `bytes`. */
export function roomFor(bytes: number): number {
  return bytes * (bytes <= largestPlainBytes ? plainShare : compressedShare);
}

/** A folder that takes made-up models, which are nearly all zeros. */
export interface RoomyFolder extends AsyncDisposable {
  readonly path: string;
  /** How it has room for them. */
  readonly kind: string;
}

/** A machine cannot have such a folder; says why. */
export class NoRoom extends Error {}

/** Larger models are compressed wherever they lie. */
const largestPlainBytes = 2 ** 34;
/** Beside a model as it is, what the store has of its own; of a compressed one, a thirtieth is there. */
const [plainShare, compressedShare] = [1.2, 1 / 24];
/** Above what is written, for what the file system keeps of its own. */
const imageShare = 1.3;

/**
 * Opens a folder for a made-up model of `bytes`: an ordinary one where there is room, else a file
 * system of its own that compresses, so that the program writes and the kernel stores every byte,
 * zeros in little room. Rejects with NoRoom without root or btrfs.
 */
export async function openRoomyFolder(bench: Bench, bytes: number): Promise<RoomyFolder> {
  const { fast, filesystem } = bench.workspace;
  const path = join(fast, "roomy");
  const { bavail, bsize } = await statfs(fast);
  if (bytes <= largestPlainBytes && roomFor(bytes) < bavail * bsize) {
    await mkdir(path, { recursive: true });
    return { path, kind: filesystem, [Symbol.asyncDispose]: () => removeFolder(path) };
  }
  const image = join(fast, "roomy.img");
  try {
    await writeFile(image, "");
    await truncate(image, Math.ceil(bytes * imageShare) + 2 ** 31);
    await run(toolPath("mkfs.btrfs"), ["--quiet", image]);
    await mkdir(path, { recursive: true });
    await run("mount", ["-o", "loop,noatime,compress-force=lzo", image, path]);
  } catch (error) {
    await rm(image, { force: true });
    const why = error instanceof Error ? error.message.trim() : String(error);
    throw new NoRoom(`no room for it, and no btrfs that compresses: ${why}`, { cause: error });
  }
  return {
    path,
    kind: "btrfs with compress-force=lzo on a loop device",
    async [Symbol.asyncDispose]() {
      await unmountBelow(path);
      await removeFolder(path);
      await rm(image, { force: true });
    },
  };
}
