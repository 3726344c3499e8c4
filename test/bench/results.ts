import { readFile } from "node:fs/promises";
import * as v from "valibot";

/** `limit` does not do the whole work (no hashing, no cap): a mark to look at, no peer. */
export type Role = "ours" | "peer" | "limit";

/** What one measured process cost. */
export interface Run {
  readonly seconds: number;
  /** User and system time of the client's process and its children. */
  readonly cpuSeconds: number;
  /** The largest resident set of any process of the client, in bytes. */
  readonly peakBytes: number;
  /** CPU seconds of the servers meanwhile. */
  readonly serverSeconds?: number | undefined;
  /** Requests that the registry (or what stands before it) answered. */
  readonly requests?: number | undefined;
  /** Bytes of content that crossed the network. */
  readonly movedBytes?: number | undefined;
}

/** All runs of one client in a row. */
export interface Entry {
  readonly client: string;
  readonly role: Role;
  readonly runs: readonly Run[];
}

/** A number that is not the cost of a process. */
export interface Fact {
  readonly id: string;
  readonly label: string;
  readonly value: number;
  readonly unit: "bytes" | "count" | "seconds" | "ratio";
}

export interface RowResult {
  readonly id: string;
  readonly title: string;
  /** Bytes that a run brings from one end to the other; what MiB/s are of. */
  readonly workBytes?: number | undefined;
  readonly entries: readonly Entry[];
  readonly facts: readonly Fact[];
  /** What a reader must know to judge the numbers. */
  readonly notes: readonly string[];
  /** Why there are no numbers, or not all. */
  readonly skipped?: string | undefined;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly kernel: string;
  /** Where the data of the rows lay, such as `tmpfs`. */
  readonly filesystem: string;
  /** Program to version. */
  readonly versions: Readonly<Record<string, string>>;
}

export interface Settings {
  /** Bytes of the model that most rows move, as asked for. */
  readonly bytes: number;
  readonly rounds: number;
  readonly warmups: number;
  readonly smoke: boolean;
  readonly huge: boolean;
}

/** One run of the bench. */
export interface Results {
  readonly schema: 1;
  /** ISO 8601. */
  readonly finished: string;
  readonly machine: Machine;
  readonly settings: Settings;
  readonly rows: readonly RowResult[];
}

const run: v.GenericSchema<unknown, Run> = v.object({
  seconds: v.number(),
  cpuSeconds: v.number(),
  peakBytes: v.number(),
  serverSeconds: v.optional(v.number()),
  requests: v.optional(v.number()),
  movedBytes: v.optional(v.number()),
});

const row: v.GenericSchema<unknown, RowResult> = v.object({
  id: v.string(),
  title: v.string(),
  workBytes: v.optional(v.number()),
  entries: v.array(
    v.object({
      client: v.string(),
      role: v.picklist(["ours", "peer", "limit"]),
      runs: v.array(run),
    }),
  ),
  facts: v.array(
    v.object({
      id: v.string(),
      label: v.string(),
      value: v.number(),
      unit: v.picklist(["bytes", "count", "seconds", "ratio"]),
    }),
  ),
  notes: v.array(v.string()),
  skipped: v.optional(v.string()),
});

const results: v.GenericSchema<unknown, Results> = v.object({
  schema: v.literal(1),
  finished: v.string(),
  machine: v.object({
    cpu: v.string(),
    cores: v.number(),
    memoryBytes: v.number(),
    kernel: v.string(),
    filesystem: v.string(),
    versions: v.record(v.string(), v.string()),
  }),
  settings: v.object({
    bytes: v.number(),
    rounds: v.number(),
    warmups: v.number(),
    smoke: v.boolean(),
    huge: v.boolean(),
  }),
  rows: v.array(row),
});

/** Reads what an earlier run wrote; rejects when it is something else. */
export async function readResults(path: string): Promise<Results> {
  return v.parse(results, JSON.parse(await readFile(path, "utf8")));
}

/** Begins the note of a row that an earlier Ballast was measured for. */
const markPrefix = "Measured with Ballast ";

/**
 * The later run, with the rows of the earlier one that it did not repeat, in `order`; these say which
 * Ballast they were measured with, where it was another. Throws when the two cannot stand in one table.
 */
export function mergeResults(earlier: Results, later: Results, order: readonly string[]): Results {
  const [a, b] = [earlier, later].map(({ machine, settings }) => {
    const { huge: _, ...comparable } = settings;
    const { cpu, cores, kernel, filesystem } = machine;
    const { ballast: __, ...versions } = machine.versions;
    return JSON.stringify({ cpu, cores, kernel, filesystem, versions, comparable });
  });
  if (a !== b)
    throw new Error(`the earlier run differs in machine, programs or settings:\n${a}\n${b}`);
  const { ballast } = earlier.machine.versions;
  const isOther = ballast !== later.machine.versions["ballast"];
  const isMarked = ({ notes }: RowResult) => notes.some((note) => note.startsWith(markPrefix));
  const mark = (row: RowResult) =>
    isOther && !isMarked(row) ? { ...row, notes: [...row.notes, `${markPrefix}${ballast}.`] } : row;
  const rows = new Map([...earlier.rows.map(mark), ...later.rows].map((each) => [each.id, each]));
  const settings = { ...later.settings, huge: earlier.settings.huge || later.settings.huge };
  return { ...later, settings, rows: order.flatMap((id) => rows.get(id) ?? []) };
}
