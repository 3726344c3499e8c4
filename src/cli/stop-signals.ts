import { ModelError } from "../core/errors.ts";

export type StopSignal = "SIGINT" | "SIGTERM";

/** What a signal to this process asks for. */
export interface Stop {
  /** Aborted, with a CANCELLED error, by the first signal. */
  readonly signal: AbortSignal;
  /** The signal that came, if one did. */
  readonly stoppedBy: () => StopSignal | undefined;
}

/**
 * Turns the first SIGINT or SIGTERM into an abort, so that work stops cleanly. The second ends the
 * process at once, as the signal would have without this. Disposing stops listening.
 */
export function catchStopSignals(): Stop & Disposable {
  const controller = new AbortController();
  let stoppedBy: StopSignal | undefined;
  const release = () => {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  };
  const stop = (name: StopSignal) => {
    if (stoppedBy === undefined) {
      stoppedBy = name;
      controller.abort(new ModelError("CANCELLED", `stopped by ${name}`));
      return;
    }
    release();
    process.kill(process.pid, name);
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  return { signal: controller.signal, stoppedBy: () => stoppedBy, [Symbol.dispose]: release };
}

/** Calls `listener` at each SIGHUP until disposed. */
export function onHangUp(listener: () => void): Disposable {
  process.on("SIGHUP", listener);
  return { [Symbol.dispose]: () => void process.off("SIGHUP", listener) };
}
