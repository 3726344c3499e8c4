import type { Readable } from "node:stream";
import type { Stop } from "./stop-signals.ts";

/** A stream that may be a terminal. */
export type OutputStream = NodeJS.WritableStream & {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
};

/** A stream that may be a keyboard. */
type InputStream = Readable & {
  readonly isTTY?: boolean | undefined;
  /** Of a terminal: whether what is typed comes at once, without being shown. */
  readonly setRawMode?: ((on: boolean) => unknown) | undefined;
};

export type Environment = Readonly<Record<string, string | undefined>>;

/** All that a command line has to do with its surroundings: a process's own, or a test's. */
export interface Terminal extends Stop {
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly environment: Environment;
  /** Calls the listener at each SIGHUP, until disposed; without listeners it ends the process. */
  readonly onHangUp: (listener: () => void) => Disposable;
}

/** Tells whether a stream moves its cursor when told so. */
export function isInteractive(stream: OutputStream, environment: Environment): boolean {
  return stream.isTTY === true && environment["TERM"] !== "dumb";
}

/** Tells whether a stream may be coloured (https://no-color.org). */
export function hasColors(stream: OutputStream, environment: Environment): boolean {
  return isInteractive(stream, environment) && !environment["NO_COLOR"];
}
