import { isModelError } from "../../src/core/errors.ts";
import { describeForLog } from "../log.ts";
import { ownerExists, parseTargetPath, type TargetPath } from "../request/target-path.ts";
import type { VolumeContext } from "./context.ts";
import { endVolume, releaseLease } from "./release.ts";
import { retainVolume } from "./retain.ts";
import { lookAtTarget } from "./target-folder.ts";
import type { VolumeState } from "./volume-states.ts";

/** What is done for volumes while nobody calls. */
export interface Upkeep {
  /** Tells the agent again of leases that ended while it was away; true when none is left. */
  retryReleases(): Promise<boolean>;
  /**
   * Compares leases and states with mounts and pods. A volume whose mount and pod are both gone, twice
   * in a row, is ended: its unpublish will not come any more. One that is mounted and has no lease is
   * leased again. Rejects while the agent is away.
   */
  reconcile(): Promise<void>;
}

export function createUpkeep(context: VolumeContext): Upkeep {
  const { agent, states, kubeletRoot, log } = context;
  let suspects: ReadonlySet<string> = new Set();

  return {
    async retryReleases() {
      for (const target of await targetsIn("releasing"))
        await context.changes.hold(target.leaseId, async () => {
          // It may have been published again in the meantime.
          const state = await states.read(target.leaseId);
          if (state?.phase === "releasing") await releaseLease(context, target);
        });
      return (await targetsIn("releasing")).length === 0;
    },
    async reconcile() {
      // States first: a volume that is published meanwhile was leased before.
      const published = await targetsIn("published");
      const signal = AbortSignal.timeout(context.patience.releaseMs);
      const leased = (await agent.leases({ signal })).flatMap(({ id, kind, target }) =>
        kind === "volume" && target !== null ? (ownTarget(target, id) ?? []) : [],
      );
      const leaseIds = new Set(leased.map(({ leaseId }) => leaseId));
      const kept = published.filter(({ leaseId }) => !leaseIds.has(leaseId));
      const lost = await findLost([...leased, ...kept]);
      for (const target of lost.filter(({ leaseId }) => suspects.has(leaseId))) {
        log("lost-volume", { target: target.path });
        await endLost(target);
      }
      suspects = new Set(lost.map(({ leaseId }) => leaseId));
      for (const target of kept) await retainVolume(context, target);
    },
  };

  async function endLost(target: TargetPath): Promise<void> {
    await context.changes.hold(target.leaseId, async () => {
      if ((await findLost([target])).length === 0) return;
      try {
        await endVolume(context, target);
      } catch (error) {
        if (!isModelError(error)) throw error;
        log("lost-volume-stays", { target: target.path, why: describeForLog(error) });
      }
    });
  }

  async function findLost(targets: readonly TargetPath[]): Promise<TargetPath[]> {
    const lost: TargetPath[] = [];
    for (const target of targets)
      if (!(await ownerExists(target, context)) && !(await isMounted(target))) lost.push(target);
    return lost;
  }

  async function isMounted(target: TargetPath): Promise<boolean> {
    try {
      return (await lookAtTarget(target, context))?.mounted === true;
    } catch (error) {
      // A link or a file is in the way, where nothing of ours can be mounted.
      if (!isModelError(error, "INVALID_ARGUMENT")) throw error;
      return false;
    }
  }

  async function targetsIn(wanted: VolumeState["phase"]): Promise<TargetPath[]> {
    const all = await states.list();
    return all.flatMap(({ phase, target }) => (phase === wanted ? (ownTarget(target) ?? []) : []));
  }

  /** Undefined for leases that others than this plugin made. */
  function ownTarget(path: string, leaseId?: string): TargetPath | undefined {
    try {
      const target = parseTargetPath(path, kubeletRoot);
      return leaseId === undefined || target.leaseId === leaseId ? target : undefined;
    } catch (error) {
      if (!isModelError(error, "INVALID_ARGUMENT")) throw error;
      return undefined;
    }
  }
}
