import { isDeepStrictEqual } from "node:util";
import { describeFault, type Log } from "../../core/log.ts";
import { isApiError } from "../api/api-error.ts";
import type { ClusterApi } from "../api/cluster-api.ts";
import type { ApiObject, OwnerReference } from "../api/objects.ts";
import {
  type NodeModels,
  type NodeModelsStatus,
  nodeModelsPath,
  nodeModelsVersion,
} from "../node-models.ts";
import type { AgentView } from "./agent-view.ts";
import { type Keeper, type KeeperTurn, startKeeper } from "./keeper.ts";
import type { OwnObject } from "./own-object.ts";
import type { Pace } from "./pace.ts";
import { describeReport, isSameBesideProgress, type Report } from "./report.ts";

export interface ReportKeeperOptions {
  readonly api: ClusterApi;
  readonly name: string;
  /** The Node that owns it. */
  readonly node: OwnObject<ApiObject>;
  readonly own: OwnObject<NodeModels>;
  readonly agent: AgentView;
  readonly pace: Pace;
  /** Told after each report. */
  readonly onReport: () => void;
  readonly log: Log;
}

/** A report as it was sent, and the status that the server made of it, which may lack fields. */
interface Sent {
  readonly report: Report;
  readonly stored: unknown;
}

/**
 * Keeps the NodeModels object of a node true, told of it when the agent, the node or the object may have changed;
 * once disposed, it leaves the object. Makes it where there is none. Writes its status when something is another,
 * at most once in `reportGapMs`; how far a pull is, once in `progressGapMs`. An object that somebody else wrote to
 * is written anew.
 */
export function keepReport(options: ReportKeeperOptions): Keeper {
  const { api, name, node, own, agent, pace, onReport, log } = options;
  let sent: Sent | undefined;
  let writtenAt = Number.NEGATIVE_INFINITY;

  /** Undefined while nothing can be said that was not said before. */
  function describe(): Report | undefined {
    if (agent.state === "silent") return undefined;
    return describeReport(agent.status, { isReady: agent.state === "ready" });
  }

  /** Resolves to how long to wait before the next look. */
  async function settle({ retryAt, signal }: KeeperTurn): Promise<number> {
    const owner = node.object?.metadata;
    const report = describe();
    if (!own.isKnown || owner?.uid === undefined || report === undefined)
      return Number.POSITIVE_INFINITY;
    const dueMs = Math.max(dueAt(report), retryAt) - performance.now();
    if (dueMs > 0) return dueMs;
    writtenAt = performance.now();
    if (own.object === undefined) await create(ownerOf(name, owner.uid), signal);
    await write(report, signal);
    return 0;
  }

  /** When this is to be written; infinity when it is there. */
  function dueAt(report: Report): number {
    const stored = own.object?.status;
    if (own.object === undefined) return writtenAt + pace.reportGapMs;
    if (sent === undefined && isSaid(stored, report)) sent = { report, stored: content(stored) };
    if (sent === undefined || !isDeepStrictEqual(content(stored), sent.stored))
      return writtenAt + pace.reportGapMs;
    if (isDeepStrictEqual(report, sent.report)) return Number.POSITIVE_INFINITY;
    const gapMs = isSameBesideProgress(report, sent.report) ? pace.progressGapMs : pace.reportGapMs;
    return writtenAt + gapMs;
  }

  async function create(owner: OwnerReference, signal: AbortSignal): Promise<void> {
    const metadata = { name, ownerReferences: [owner] };
    const body = { apiVersion: nodeModelsVersion, kind: "NodeModels", metadata };
    try {
      const question = { method: "POST", path: nodeModelsPath, body } as const;
      own.accept(await api.call<NodeModels>(question, { signal }));
      log("report created", { name });
    } catch (error) {
      // A create that was sent twice, or a watch that is late.
      if (!isApiError(error, 409)) throw error;
    }
  }

  async function write(report: Report, signal: AbortSignal): Promise<void> {
    // A merge patch keeps what it does not name.
    const absent = { agentVersion: null, store: null, omitted: null };
    const status = { ...absent, ...report, reportedAt: new Date().toISOString() };
    const path = `${nodeModelsPath}/${name}/status`;
    const question = { method: "PATCH", path, body: { status } } as const;
    const answer = await api.call<NodeModels>(question, { signal });
    sent = { report, stored: content(answer.status) };
    own.accept(answer);
    onReport();
  }

  return startKeeper({
    settle,
    onFailure: (error) => log("report failed", { error: describeFault(error) }),
    retryMs: pace.retryMs,
  });
}

/** The Node of a reporter as the owner of its objects, which go with it. */
export function ownerOf(name: string, uid: string): OwnerReference {
  return { apiVersion: "v1", kind: "Node", name, uid };
}

function isSaid(stored: NodeModelsStatus | undefined, report: Report): boolean {
  return isDeepStrictEqual(content(stored), JSON.parse(JSON.stringify(report)));
}

/** Without when it was said. */
function content(status: NodeModelsStatus | undefined): unknown {
  if (status === undefined) return undefined;
  const { reportedAt: _, ...rest } = status;
  return rest;
}
