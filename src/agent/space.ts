import { statfs } from "node:fs/promises";
import type { Abortable } from "../core/progress.ts";
import type { Watermarks } from "../store/eviction.ts";
import type { Store } from "../store/store.ts";
import type { WatermarkDocument } from "./api/documents.ts";
import type { AgentConfig } from "./config.ts";
import type { Departures } from "./departures.ts";
import { sweep } from "./sweep.ts";

/** Keeps a store between its watermarks. */
export interface Space {
  /** Evicts what the watermarks ask for. */
  tidy(options?: Abortable): Promise<void>;
  /** Evicts until this many bytes more can be written, or nothing more may go. */
  makeRoom(bytes: number): Promise<void>;
  readonly limits: () => Promise<WatermarkDocument>;
}

/** What a filesystem keeps for itself, and a little more (128 MiB). */
const marginBytes = 134_217_728;

export interface SpaceMeans {
  readonly store: Store;
  readonly config: () => AgentConfig["store"];
  readonly departures: Departures;
  /** Hears how many models went. */
  readonly onEvicted: (models: number) => void;
}

/** Opens it; nothing goes yet. */
export function createSpace({ store, config, departures, onEvicted }: SpaceMeans): Space {
  async function evict(watermarks: Watermarks, signal?: AbortSignal): Promise<void> {
    const { removed } = await sweep({ store, departures }, { watermarks, signal });
    if (removed.length > 0) onEvicted(removed.length);
  }

  async function limits(): Promise<WatermarkDocument> {
    const { highBytes = null, lowBytes = highBytes, lowFreePercent, highFreePercent } = config();
    const { blocks, bsize } = await statfs(store.paths.root);
    const share = (percent: number) => Math.round((blocks * bsize * percent) / 100);
    const [lowFreeBytes, highFreeBytes] = [share(lowFreePercent), share(highFreePercent)];
    return { highBytes, lowBytes, lowFreeBytes, highFreeBytes };
  }

  return {
    limits,
    tidy: async ({ signal } = {}) => {
      const { highBytes, lowBytes, lowFreeBytes, highFreeBytes } = await limits();
      const bytes =
        highBytes === null ? undefined : { high: highBytes, low: lowBytes ?? highBytes };
      const freeBytes = { low: lowFreeBytes ?? 0, high: highFreeBytes ?? 0 };
      await evict({ bytes, freeBytes }, signal);
    },
    makeRoom: async (bytes) => {
      const wanted = bytes + marginBytes;
      await evict({ freeBytes: { low: wanted, high: wanted } });
    },
  };
}
