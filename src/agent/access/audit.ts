import type { Subject } from "../api/documents.ts";

/** One decision about who may read what. */
export interface Decision {
  readonly subject: Subject | undefined;
  /** `host/repository` and what was asked of it. */
  readonly repository: string;
  readonly version: string;
  readonly digest: string | undefined;
  readonly verdict: "allowed" | "denied" | "unknown";
  /** Such as `registry`, `cached`, `grace`, or an error code. */
  readonly why: string;
}

/** Told each decision once. */
export type Audit = (decision: Decision) => void;

/** Writes each decision as a line of JSON. */
export function createAudit(write: (line: string) => void): Audit {
  return ({ subject, ...decision }) => {
    const who = subject ?? { namespace: null, pod: null, uid: null, serviceAccount: null };
    const line = { time: new Date().toISOString(), event: "access", ...who, ...decision };
    write(JSON.stringify(line));
  };
}
