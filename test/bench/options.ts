import { parseArgs } from "node:util";
import type { Settings } from "./results.ts";

/** Measured runs of each client in each row. */
export const defaultRounds = 3;

export const usage: string = `npm run bench -- [options]

Measures Ballast beside crane, regctl, skopeo and aria2c, on this machine alone.

  --list             print the rows
  --only ROWS        only these: ids or beginnings with a *, separated by commas; repeatable
  --rounds N         measured runs of each client in each row; default ${defaultRounds}
  --huge             also the sizes that take long: memory at 200 GiB, requests at 140 GB
  --smoke            all rows with 64 MiB, once: does everything work?
  --json FILE        where the numbers go; default .cache/bench/<time>.json
  --merge FILE       keep the rows of an earlier run that this one does not repeat
  --write-docs       write docs/performance.md and docs/performance.svg
  --folder DIR       where the data go, in place of memory
  --ballast PROGRAM  measure this ballast; by default this checkout, built`;

export interface Options {
  readonly action: "run" | "list" | "help";
  readonly only: readonly string[];
  readonly settings: Settings;
  readonly json: string | undefined;
  readonly merge: string | undefined;
  readonly writeDocs: boolean;
  readonly folder: string | undefined;
  readonly ballast: string | undefined;
}

const fullBytes = 2 ** 31;
const smokeBytes = 2 ** 26;

/** Reads the command line; throws a sentence for a mistake. */
export function readOptions(args: readonly string[]): Options {
  const flag = { type: "boolean", default: false } as const;
  const text = { type: "string" } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: flag,
      list: flag,
      only: { type: "string", multiple: true, default: [] },
      rounds: text,
      huge: flag,
      smoke: flag,
      json: text,
      merge: text,
      "write-docs": flag,
      folder: text,
      ballast: text,
    },
  });
  const { smoke, huge, json, merge, folder, ballast } = values;
  const rounds = Number(values.rounds ?? (smoke ? 1 : defaultRounds));
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error("--rounds takes a number from 1 on");
  if (smoke && (huge || values["write-docs"] || merge !== undefined))
    throw new Error("--smoke measures nothing that could be kept");
  return {
    action: values.help ? "help" : values.list ? "list" : "run",
    only: values.only.flatMap((list) => list.split(",")).filter(Boolean),
    settings: {
      bytes: smoke ? smokeBytes : fullBytes,
      rounds,
      warmups: smoke ? 0 : 1,
      smoke,
      huge,
    },
    json,
    merge,
    writeDocs: values["write-docs"],
    folder,
    ballast,
  };
}
