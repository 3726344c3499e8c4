import { isContentDigest } from "../../core/digest.ts";
import { claimBlob } from "../../oci/layout/blob-age.ts";
import { requireClientPace } from "./bounds/client-pace.ts";
import type { Answerer } from "./conversation.ts";
import type { RegistryState } from "./exchange.ts";
import type { Gate } from "./gate.ts";
import type { RegistryLimits } from "./limits.ts";
import { requireOffered } from "./offers.ts";
import type { Repositories } from "./repositories.ts";
import type { Reserve } from "./reserve.ts";
import { decodePath, matchRoute } from "./routes.ts";
import type { SignedBlobs } from "./signed-blobs.ts";
import type { Health } from "./watch/health.ts";

export interface AnswererOptions {
  readonly health: Health;
  readonly gate: Gate;
  readonly limits: RegistryLimits;
  /** Undefined where readers of blobs are not sent on. */
  readonly signed: SignedBlobs | undefined;
  /** What a full disk leaves for removals. */
  readonly reserve: Reserve;
  readonly state: RegistryState;
}

/** Makes what leads a request past health, pace, gate and offers to its route. */
export function createAnswerer(options: AnswererOptions): Answerer {
  const { health, gate, limits, signed, reserve, state } = options;
  return async (incoming) => {
    const { request, response, method, query } = incoming;
    if (await health.answer(incoming)) return;
    requireClientPace(incoming, limits);
    gate.knock(incoming);
    const signedPath = signed?.resolve(request, incoming);
    const path = signedPath ?? incoming.path;
    const caller = signedPath === undefined ? await gate.admit(incoming) : undefined;
    const { route, repository, reference } = matchRoute(method, path);
    const asked = { request, method, path: decodePath(path) };
    requireOffered(state.offers, { ...asked, query });
    if (caller !== undefined) await gate.permit(asked, caller, repository);
    if (method === "HEAD") await claim(state.repositories, repository, reference);
    const mayRead = (name: string) => caller?.may("read", name) === true;
    const redirects = signedPath === undefined ? signed : undefined;
    const wire = { request, response, query, mayRead, redirects };
    const work = () => route({ ...wire, state, repository, reference });
    await (method === "DELETE" ? reserve.use(work) : work());
  };
}

/** Who asks whether content is there by its digest will not send it again. */
async function claim(
  repositories: Repositories,
  repository: string,
  reference: string,
): Promise<void> {
  if (!isContentDigest(reference)) return;
  const layout = await repositories.find(repository);
  if (layout !== undefined) await claimBlob(layout.blobs, reference);
}
