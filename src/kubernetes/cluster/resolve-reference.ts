import type { Digest } from "../../core/digest.ts";
import type { Abortable } from "../../core/progress.ts";
import { parseReference } from "../../core/reference.ts";
import { type ConnectionOptions, connect } from "../../model/connection.ts";
import { describeFailure } from "../../model/failure.ts";
import { resolveDigest } from "../../model/resolve.ts";

/**
 * The digest that a reference names now. One that has a digest is not asked for. Rejects as `inspect` does.
 */
export async function resolveReference(
  text: string,
  options: ConnectionOptions & Abortable = {},
): Promise<Digest> {
  const reference = parseReference(text);
  if (reference.digest !== undefined) return reference.digest;
  try {
    await using connection = await connect(reference, options);
    return await resolveDigest(connection.repository, reference, options);
  } catch (error) {
    throw describeFailure(error, "look-up", options.signal);
  }
}
