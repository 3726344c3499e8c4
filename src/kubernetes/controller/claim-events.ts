import { createHash } from "node:crypto";
import type { Abortable } from "../../core/progress.ts";
import { isApiError } from "../api/api-error.ts";
import type { ClusterApi } from "../api/cluster-api.ts";
import type { PersistentVolumeClaim } from "../api/objects.ts";
import { controllerName } from "../names.ts";

/** Tells the authors of claims, in Events, what became of them. */
export interface ClaimEvents {
  /**
   * Says it in one Event for each claim and reason: another text replaces the one before, the same one
   * is repeated after some minutes at the earliest. Resolves to whether it was another.
   */
  say(claim: PersistentVolumeClaim, news: ClaimNews, options: Abortable): Promise<boolean>;
}

export interface ClaimNews {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

const repeatMs = 300_000;
const maxMessage = 1000;
const maxRemembered = 10_000;

interface Said {
  readonly message: string;
  readonly at: number;
  readonly count: number | undefined;
}

/** Creates one that has said nothing; Events of an earlier one are found by their names. */
export function createClaimEvents(api: ClusterApi): ClaimEvents {
  const said = new Map<string, Said>();
  return {
    say: async (claim, { type, reason, message: text }, options) => {
      const message = text.slice(0, maxMessage);
      const { namespace = "default", uid = "" } = claim.metadata;
      const name = eventName(claim, reason);
      const before = said.get(`${uid}/${reason}`);
      const isRecent = before !== undefined && performance.now() - before.at < repeatMs;
      const isNews = before?.message !== message;
      if (isRecent && !isNews) return false;
      const path = `/api/v1/namespaces/${namespace}/events`;
      const lastTimestamp = new Date().toISOString();
      const count = before?.count === undefined ? undefined : before.count + 1;
      const change = { type, message, lastTimestamp, count };
      const update = () =>
        api.call<{ count?: number }>(
          { method: "PATCH", path: `${path}/${name}`, body: change },
          options,
        );
      const create = () => {
        const made = { ...describe(claim, name), reason, ...change, count: 1 };
        const body = { ...made, firstTimestamp: lastTimestamp };
        return api.call<{ count?: number }>({ method: "POST", path, body }, options);
      };
      // Of a claim that was told before, it is there; else it may be from an earlier process.
      const [first, second, status] = before ? [update, create, 404] : [create, update, 409];
      const stored = await first().catch((error: unknown) => {
        if (isApiError(error, status)) return second();
        throw error;
      });
      if (said.size >= maxRemembered) said.clear();
      said.set(`${uid}/${reason}`, { message, at: performance.now(), count: stored.count });
      return isNews;
    },
  };
}

function describe(claim: PersistentVolumeClaim, name: string): Readonly<Record<string, unknown>> {
  const { namespace, name: claimName, uid, resourceVersion } = claim.metadata;
  const kind = "PersistentVolumeClaim";
  return {
    apiVersion: "v1",
    kind: "Event",
    metadata: { name, namespace },
    involvedObject: { apiVersion: "v1", kind, namespace, name: claimName, uid, resourceVersion },
    source: { component: controllerName },
    reportingComponent: controllerName,
  };
}

/** The same for a claim and a reason in every process. */
function eventName({ metadata }: PersistentVolumeClaim, reason: string): string {
  const hash = createHash("sha256").update(`${metadata.uid}/${reason}`).digest("hex");
  const readable = (metadata.name ?? "").slice(0, 200).replace(/[^a-z0-9]+$/, "");
  return `${readable}.${hash.slice(0, 16)}`;
}
