import { status } from "@grpc/grpc-js";
import type { AcquireRequest } from "../../src/agent/api/documents.ts";
import { ModelError } from "../../src/core/errors.ts";
import { parseAttributes } from "../../src/core/volume-attributes.ts";
import { describeForLog } from "../log.ts";
import { checkCapability } from "../request/capability.ts";
import { credentialKind, readCredential } from "../request/credential.ts";
import { fingerprintOf } from "../request/fingerprint.ts";
import { readSubject } from "../request/subject.ts";
import { parseTargetPath, type TargetPath } from "../request/target-path.ts";
import type { NodePublishVolumeRequest } from "../rpc/messages.ts";
import type { Call } from "../rpc/server.ts";
import { describeStatus, isFinal, StatusError } from "../status.ts";
import { withPatience } from "./agent-patience.ts";
import type { VolumeContext } from "./context.ts";
import { waitForModel } from "./model-wait.ts";
import { mountModel } from "./mount-model.ts";
import { describeProgress } from "./progress-text.ts";
import { endVolume, releaseLease } from "./release.ts";
import { lookAtTarget } from "./target-folder.ts";

/**
 * Shows a model at a target path. Resolves when it is mounted, at once where it is already. Rejects
 * with ABORTED and how far it is while the model is being pulled, and with LEASE_EXISTS where the target
 * is published with other arguments. Any other rejection that a kubelet takes for the last word leaves
 * no mount, no folder, no lease and no state behind: no unpublish follows it.
 */
export async function publishVolume(
  context: VolumeContext,
  request: NodePublishVolumeRequest,
  call: Call,
): Promise<void> {
  const target = parseTargetPath(request.target_path, context.kubeletRoot);
  using turn = context.interrupts.begin(target.leaseId);
  const signal = AbortSignal.any([call.signal, turn.signal]);
  const leased = { asked: false };
  try {
    await publish(context, { request, target, leased, call: { ...call, signal } });
  } catch (error) {
    throw await settleFailure(context, { target, leased: leased.asked, error });
  }
}

interface Attempt {
  readonly request: NodePublishVolumeRequest;
  readonly target: TargetPath;
  readonly call: Call;
  /** Whether the agent was asked for a lease. */
  readonly leased: { asked: boolean };
}

async function publish(context: VolumeContext, attempt: Attempt): Promise<void> {
  const { request, target, call, leased } = attempt;
  const { leaseId } = target;
  if (request.volume_id === "")
    throw new ModelError("INVALID_ARGUMENT", "the call names no volume id");
  const fingerprint = fingerprintOf(request);
  const change = <T>(work: () => Promise<T>) =>
    context.changes.hold(leaseId, work, { signal: call.signal });
  if (await change(() => isPublished(context, attempt, fingerprint))) return;
  checkCapability(request.volume_capability);
  const { acquire, subject } = readRequest(context, request, target);
  leased.asked = true;
  const waited = await waitForModel(context.agent, acquire, limitsOf(context, target, call));
  if (waited.outcome === "pulling") {
    context.answered.add(leaseId);
    throw new StatusError(status.ABORTED, describeProgress(acquire.reference, waited.progress));
  }
  const { model } = waited;
  const volumeId = request.volume_id;
  const { reference, include, exclude } = acquire;
  await change(async () => {
    if (await isPublished(context, attempt, fingerprint)) return;
    const asked = { volumeId, fingerprint, reference, include, exclude };
    await mountModel(context, { target, subject, ...asked }, model);
    context.answered.delete(leaseId);
    context.log("published", {
      target: target.path,
      volume: volumeId,
      model: model.name,
      namespace: subject?.namespace,
      pod: subject?.pod,
      serviceAccount: subject?.serviceAccount,
      credential: credentialKind(acquire.credential),
      moved: model.moved,
    });
  });
}

/** Whether this very volume is mounted, which asks neither the agent nor a registry. */
async function isPublished(
  context: VolumeContext,
  { target, call }: Attempt,
  fingerprint: string,
): Promise<boolean> {
  const { agent, states, patience } = context;
  // First of all, so that no lease is taken for a target that leads elsewhere.
  const found = await lookAtTarget(target, context);
  const state = await states.read(target.leaseId);
  if (state === undefined) return false;
  if (state.phase === "releasing") {
    // The lease of the volume that was here may be for another model.
    await withPatience(() => agent.release(target.leaseId, { signal: call.signal }), {
      ...patience,
      signal: call.signal,
    });
    await states.remove(target.leaseId);
    return false;
  }
  if (state.fingerprint !== fingerprint)
    throw new ModelError("LEASE_EXISTS", `${target.path} is published with other arguments`, {
      hint: "unpublish it first",
    });
  return found?.mounted === true && found.identity === state.identity;
}

function readRequest(
  { pods }: VolumeContext,
  { volume_context, secrets }: NodePublishVolumeRequest,
  target: TargetPath,
): { readonly acquire: AcquireRequest; readonly subject: AcquireRequest["subject"] } {
  const { reference, include, exclude, warm } = parseAttributes(volume_context);
  const subject = readSubject(volume_context, target, pods);
  const credential = readCredential(secrets);
  const id = target.leaseId;
  return {
    acquire: { id, reference, include, exclude, warm, target: target.path, subject, credential },
    subject,
  };
}

function limitsOf({ patience, answered }: VolumeContext, { leaseId }: TargetPath, call: Call) {
  const { firstAnswerMs, agentMs, retryMs, marginMs } = patience;
  const holdMs = Math.max(0, Math.min(patience.holdMs, call.remainingMs - marginMs));
  const answerMs = answered.has(leaseId) ? holdMs : Math.min(firstAnswerMs, holdMs);
  return { signal: call.signal, answerMs, holdMs, agentMs, retryMs };
}

/** Makes a failure one that a kubelet may be told: none is final while something is mounted. */
async function settleFailure(
  context: VolumeContext,
  failed: { readonly target: TargetPath; readonly leased: boolean; readonly error: unknown },
): Promise<unknown> {
  const { target, leased, error } = failed;
  const { code, details } = describeStatus(error);
  if (!isFinal(code) || code === status.ALREADY_EXISTS) return error;
  return context.changes.hold(target.leaseId, async () => {
    try {
      const found = await lookAtTarget(target, context);
      if (found?.mounted === true) return new StatusError(status.ABORTED, details);
      const known = (await context.states.read(target.leaseId)) !== undefined;
      if (leased || known) await endVolume(context, target);
    } catch (second) {
      context.log("undo-failed", { target: target.path, why: describeForLog(second) });
      // Whatever is in the way at the target, nobody will come back for the lease.
      if (leased) await releaseLease(context, target);
    }
    return error;
  });
}
