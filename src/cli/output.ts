import { ModelError, systemCode } from "../core/errors.ts";
import type { OutputStream } from "./terminal.ts";

/** Standard output, where a command's result goes and nothing else. */
export interface Output {
  /** Writes lines. Rejects with STORE_IO, but not when the reader is gone (`| head`). */
  print(...lines: readonly string[]): Promise<void>;
  /** Writes one JSON document on one line; what is undefined is null, so that no field is ever absent. */
  printJson(value: unknown): Promise<void>;
  /** Whether anything was printed. */
  readonly used: boolean;
}

export function createOutput(stream: OutputStream): Output {
  let used = false;
  const print: Output["print"] = async (...lines) => {
    if (lines.length === 0) return;
    used = true;
    await write(stream, `${lines.join("\n")}\n`);
  };
  return {
    print,
    printJson: (value) => print(JSON.stringify(value, nullIfUndefined)),
    get used() {
      return used;
    },
  };
}

/** Keeps a reader that goes away from ending the process; for a stream's whole life. */
export function tolerateClosedReader(stream: OutputStream): void {
  stream.on("error", () => undefined);
}

async function write(stream: OutputStream, text: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  stream.write(text, (error) => {
    if (!error || systemCode(error) === "EPIPE" || systemCode(error) === "ERR_STREAM_DESTROYED")
      resolve();
    else reject(cannotWrite(error));
  });
  await promise;
}

function cannotWrite(error: Error): ModelError {
  const message = `standard output could not be written: ${error.message}`;
  return new ModelError("STORE_IO", message, {
    hint: "the work itself is done: run the same command again for its result",
    cause: error,
  });
}

function nullIfUndefined(_key: string, value: unknown): unknown {
  return value === undefined ? null : value;
}
