import type { ProgressListener } from "../core/progress.ts";

/** Passes every event on and keeps the warnings for the result. */
export function collectWarnings(listener: ProgressListener | undefined): {
  readonly warnings: readonly string[];
  readonly onProgress: ProgressListener;
} {
  const warnings: string[] = [];
  return {
    warnings,
    onProgress: (event) => {
      if (event.type === "warning") warnings.push(event.message);
      listener?.(event);
    },
  };
}
