import * as v from "valibot";
import { ModelError } from "../../core/errors.ts";
import { errorSchema, progressSchema, type ReadyModel, readySchema } from "../api/documents.ts";
import { readError } from "../api/error-document.ts";
import type { WaitOptions } from "./client.ts";
import type { Peer } from "./conversation.ts";
import type { ServerEvent } from "./event-stream.ts";

/** Follows events to the one that ends the wait: resolves for `ready`, rejects for `failed`. */
export async function awaitReady(
  events: AsyncIterable<ServerEvent>,
  { peer, onProgress }: WaitOptions & { readonly peer: Peer },
): Promise<ReadyModel> {
  for await (const { name, content } of events) {
    if (name === "progress") onProgress?.(v.parse(progressSchema, content));
    if (name === "failed") throw readError(v.parse(errorSchema, content));
    if (name === "ready") return v.parse(readySchema, content);
  }
  throw new ModelError("AGENT_UNAVAILABLE", `the agent at ${peer.socketPath} ended the wait`, {
    hint: "ask again: what is pulled goes on where it was",
  });
}
