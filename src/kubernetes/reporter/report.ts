import { isDeepStrictEqual } from "node:util";
import type { ModelDocument, StatusDocument } from "../../agent/api/documents.ts";
import type { Digest } from "../../core/digest.ts";
import type { NodeModel, NodeModelsStatus } from "../node-models.ts";

/** What a report says, beside when. */
export type Report = Omit<NodeModelsStatus, "reportedAt">;

/**
 * Most models that a report names. Each takes about 200 bytes, of an object that an API server keeps copies of
 * for each watcher and refuses beyond 1.5 MiB.
 */
const reportLimit = 500;

/** Tells what an agent has. Models that are about to go are gone already. */
export function describeReport(
  status: StatusDocument | undefined,
  { isReady, limit = reportLimit }: { readonly isReady: boolean; readonly limit?: number },
): Report {
  if (status === undefined) return { agentReady: isReady, readyModels: 0, models: [] };
  const models = mergeByDigest(status.models.filter(({ leaving }) => !leaving));
  const omitted = models.length - limit;
  const { bytes, totalBytes } = status.store;
  return {
    agentReady: isReady,
    agentVersion: status.version,
    store: { bytes, capacityBytes: totalBytes },
    readyModels: models.filter(({ state }) => state === "ready").length,
    models: models.slice(0, limit),
    ...(omitted > 0 ? { omitted } : {}),
  };
}

/** Tells whether two reports differ in more than in how far pulls are and how full the store is. */
export function isSameBesideProgress(one: Report, other: Report): boolean {
  return isDeepStrictEqual(withoutProgress(one), withoutProgress(other));
}

function withoutProgress({ store, models, ...rest }: Report): unknown {
  const fixed = models.map((model) => {
    const { bytes: _bytes, totalBytes: _total, bytesPerSecond: _rate, ...others } = model;
    return model.state === "pulling" ? others : model;
  });
  return { ...rest, capacityBytes: store?.capacityBytes, models: fixed };
}

/** Most recently used first. */
function mergeByDigest(models: readonly ModelDocument[]): NodeModel[] {
  const byDigest = Map.groupBy(models, ({ digest }) => digest);
  const merged = [...byDigest].map(([digest, same]) => ({
    model: merge(digest, same),
    lastUsed: same.map(({ lastUsed }) => lastUsed).reduce((a, b) => (a < b ? b : a)),
  }));
  merged.sort((a, b) => (a.lastUsed < b.lastUsed ? 1 : a.lastUsed > b.lastUsed ? -1 : 0));
  return merged.map(({ model }) => model);
}

const states = ["ready", "pulling", "partial", "failed"] as const;

/** One digest may be here from several repositories; the most that is here of it counts. */
function merge(digest: Digest, same: readonly ModelDocument[]): NodeModel {
  const has = (state: NodeModel["state"]) => same.some((each) => stateOf(each) === state);
  const state = states.find(has) ?? "partial";
  const progress = same.flatMap((each) => each.progress ?? [])[0];
  const pulled =
    state === "pulling" && progress !== undefined
      ? { totalBytes: progress.totalBytes, bytesPerSecond: Math.round(progress.bytesPerSecond) }
      : {};
  const here = same.map((each) => Math.max(each.bytes, each.progress?.hereBytes ?? 0));
  const mounts = same.reduce((sum, each) => sum + each.mounts.length, 0);
  return {
    digest,
    state,
    bytes: Math.max(...here),
    ...pulled,
    ...(same.some(({ pinned }) => pinned) ? { pinned: true } : {}),
    ...(mounts > 0 ? { mounts } : {}),
  };
}

/** What is whole stays so while somebody asks for it once more; a selection is not the model. */
function stateOf({ whole, state }: ModelDocument): NodeModel["state"] {
  if (whole) return "ready";
  return state === "ready" ? "partial" : state;
}
