import type { Ground } from "./ground.ts";

/**
 * What a behaviour is needed for: `push` and `pull` cannot do without it, `fast` makes them cheap,
 * `extra` is for what else there is.
 */
export type Need = "push" | "pull" | "fast" | "extra";

/** Whether a registry has a behaviour, and what it said where it has it not, or only in part. */
export interface Finding {
  /** `wrong`: it says that it does, and does something else. */
  readonly result: "yes" | "partly" | "no" | "wrong" | "skipped";
  /** Status and error code, or a few words; never text of the registry's own. */
  readonly said?: string | undefined;
}

/** One behaviour of a registry, and how to see it. */
export interface Probe {
  readonly id: string;
  readonly title: string;
  readonly needed: Need;
  /** What it writes at most, and is deleted afterwards; undefined where it only reads. */
  readonly writes?: Writes | undefined;
  /** Rejects with `Unmet` too, and with what requests fail with. */
  run(ground: Ground): Promise<Finding>;
}

interface Writes {
  readonly blobBytes?: number | undefined;
  readonly manifestBytes?: number | undefined;
  /** What `tagName` makes tags of. */
  readonly tags?: readonly string[] | undefined;
  /** Whether it writes the list of referrers of `Site.absent`. */
  readonly fallbackTag?: boolean | undefined;
}

/** Ends a probe early with what it found. */
export class Unmet extends Error {
  readonly finding: Finding;

  constructor(result: Finding["result"], said: string) {
    super(said);
    this.name = "Unmet";
    this.finding = { result, said };
  }
}

export const yes: Finding = { result: "yes" };
