import type { Known } from "./facts/known.ts";

/** What a check found. `unknown`: the user may not look, so that nothing is said. */
export interface Finding {
  /** What was looked at, in a word or two. */
  readonly check: string;
  readonly status: "ok" | "warning" | "failed" | "unknown";
  /** One sentence. */
  readonly summary: string;
  /** What to do, most often a command. */
  readonly fix: string | undefined;
}

/** It is as it must be. */
export function ok(check: string, summary: string): Finding {
  return { check, status: "ok", summary, fix: undefined };
}

/** It works, and something is worse than it could be. */
export function warning(check: string, summary: string, fix: string): Finding {
  return { check, status: "warning", summary, fix };
}

/** Something does not work. */
export function failed(check: string, summary: string, fix: string): Finding {
  return { check, status: "failed", summary, fix };
}

/** It could not be looked at. */
export function unseen(check: string, what: string, { refused }: Known<unknown>): Finding {
  const why =
    refused === undefined ? "" : `: ${refused.replace(/^.*the API server answered /, "")}`;
  const fix = "ask with more rights: an administrator's kubeconfig, or a role that may read it";
  return { check, status: "unknown", summary: `${what} may not be read by this user${why}`, fix };
}

/** Names, so many that a line can take. */
export function someOf(names: readonly string[], most: number = 5): string {
  const shown = names.slice(0, most).join(", ");
  return names.length > most ? `${shown} and ${names.length - most} more` : shown;
}
