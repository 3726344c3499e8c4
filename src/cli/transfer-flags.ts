import type { Command } from "commander";
import { ModelError } from "../core/errors.ts";
import { parseSize } from "../core/size.ts";
import type { CallOptions } from "../model/connection.ts";

export interface TransferFlags {
  readonly connections?: string | undefined;
  readonly threads?: string | undefined;
  readonly rangeSize?: string | undefined;
  readonly bufferSize?: string | undefined;
}

/** Adds the flags of commands that move many bytes, either way. */
export function addTransferFlags(command: Command, connections: number): Command {
  return command
    .optionsGroup("How fast, at what cost:")
    .option("--connections <N>", `most transfers under way at once (default: ${connections})`)
    .option("--threads <N>", "threads that hash (default: one per core; a pull takes up to 8)");
}

/** Adds the flags of commands that fetch. */
export function addFetchFlags(command: Command): Command {
  return addTransferFlags(command, 16)
    .option(
      "--range-size <SIZE>",
      "most bytes asked for at once (default: 64MiB, more for models above 24GiB)",
    )
    .option("--buffer-size <SIZE>", "memory for bytes from the network (default: 16MiB)");
}

/** Reads them. Throws INVALID_ARGUMENT for what is no count or size. */
export function readTransfer(flags: TransferFlags): NonNullable<CallOptions["transfer"]> {
  return {
    connections: readCount("--connections", flags.connections),
    threads: readCount("--threads", flags.threads),
    rangeBytes: flags.rangeSize === undefined ? undefined : parseSize(flags.rangeSize),
    bufferBytes: flags.bufferSize === undefined ? undefined : parseSize(flags.bufferSize),
  };
}

function readCount(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= 1024) return count;
  throw new ModelError(
    "INVALID_ARGUMENT",
    `${flag} ${JSON.stringify(text)} is no whole number from 1 to 1024`,
  );
}
