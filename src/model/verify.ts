import { stat } from "node:fs/promises";
import { undefinedIfMissing } from "../core/absence.ts";
import type { CallOptions } from "./connection.ts";
import { describeFailure } from "./failure.ts";
import { verifyFolder } from "./verify-folder.ts";
import { verifyReference } from "./verify-reference.ts";
import type { VerifyResult } from "./verify-report.ts";

export interface VerifyOptions extends CallOptions {
  /** A reference, or a folder that `pull` wrote. */
  readonly target: string;
}

/**
 * Reads every byte of a model, in a registry or where `pull` put it, and compares it with the index.
 * Resolves also when something is wrong: look at `problems`. Rejects when it cannot be read at all.
 */
export async function verify(options: VerifyOptions): Promise<VerifyResult> {
  const { target } = options;
  try {
    const found = await stat(target).catch(undefinedIfMissing);
    return found?.isDirectory() === true
      ? await verifyFolder(target, options)
      : await verifyReference(target, options);
  } catch (error) {
    throw describeFailure(error, "verify", options.signal);
  }
}
