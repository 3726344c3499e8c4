import type { ModelProgress } from "../../src/agent/api/documents.ts";

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/**
 * One line for an Event, such as
 * `pulling MODEL: 43 % (61 of 140 GiB), 1.9 GiB/s, about 42 s left`. `reference` is the model as the
 * pod's author wrote it.
 */
export function describeProgress(reference: string, progress: ModelProgress | undefined): string {
  if (progress === undefined) return `asking for ${reference}`;
  const { state, totalBytes, hereBytes, bytesPerSecond, secondsLeft } = progress;
  if (totalBytes === 0) return `pulling ${reference}`;
  const share = Math.min(100, Math.floor((hereBytes / totalBytes) * 100));
  const amount = `${share} % (${formatPart(hereBytes, totalBytes)})`;
  if (state === "waiting") return `${reference} waits for its turn: ${amount}`;
  if (state === "finishing") return `finishing ${reference}: ${amount}`;
  const rate = bytesPerSecond > 0 ? `, ${formatAmount(bytesPerSecond)}/s` : "";
  const left = secondsLeft === null ? "" : `, about ${formatSpan(secondsLeft)} left`;
  return `pulling ${reference}: ${amount}${rate}${left}`;
}

/** `61 of 140 GiB`: both in the unit of the whole. */
function formatPart(part: number, whole: number): string {
  const power = powerOf(whole);
  return `${inUnit(part, power)} of ${inUnit(whole, power)} ${units[power]}`;
}

function formatAmount(bytes: number): string {
  const power = powerOf(bytes);
  return `${inUnit(bytes, power)} ${units[power]}`;
}

function powerOf(bytes: number): number {
  const power = Math.floor(Math.log2(Math.max(1, bytes)) / 10);
  return Math.min(units.length - 1, power);
}

/** One digit behind the point below ten, for `1.9 GiB` and `140 GiB`. */
function inUnit(bytes: number, power: number): string {
  const amount = bytes / 1024 ** power;
  return power === 0 || amount >= 9.95 ? String(Math.round(amount)) : amount.toFixed(1);
}

function formatSpan(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}
