import { errorCodes, isModelError, ModelError } from "../../core/errors.ts";
import type { ErrorDocument } from "./documents.ts";

/**
 * An error as it crosses the socket. What is no ModelError is a defect of the agent, AGENT_FAILED, and
 * loses its message: that may hold anything, and callers show it to others.
 */
export function describeError(error: unknown): ErrorDocument {
  if (isModelError(error)) {
    const { code, message, hint } = error;
    return { code, message, hint: hint ?? null };
  }
  const name = error instanceof Error ? error.name : typeof error;
  return { code: "AGENT_FAILED", message: `unexpected ${name}`, hint: "see the agent's log" };
}

/** The error that crossed the socket; a code this side does not know becomes AGENT_FAILED. */
export function readError({ code, message, hint }: ErrorDocument): ModelError {
  const known = Object.keys(errorCodes).find((each) => each === code);
  return new ModelError(isCode(known) ? known : "AGENT_FAILED", message, {
    hint: hint ?? undefined,
  });
}

function isCode(text: string | undefined): text is keyof typeof errorCodes {
  return text !== undefined;
}
