import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Bench } from "./bench.ts";
import { checkout, installBallast } from "./installed-ballast.ts";
import { describeMachine, installTools } from "./machine.ts";
import type { Options } from "./options.ts";
import { writeDocument } from "./report/document.ts";
import { formatRow } from "./report/row-table.ts";
import { mergeResults, type Results, type RowResult, readResults } from "./results.ts";
import { chooseRows } from "./row-choice.ts";
import { rows, stages } from "./rows/catalog.ts";
import { openWorkspace, sweepWorkspaces, type Workspace } from "./workspace.ts";

const cache = join(checkout, ".cache/bench");

/** Runs the chosen rows and writes what they gave; resolves to false when one failed. */
export async function runBench(options: Options, signal: AbortSignal): Promise<boolean> {
  const ids = rows.map(({ id }) => id);
  const chosen = new Set(chooseRows(ids, options.only));
  const earlier = options.merge === undefined ? undefined : await readResults(options.merge);
  const { settings, writeDocs } = options;
  await using workspace = await makeRoom(options, chosen);
  const bench = await openBench(options, workspace, signal);
  const machine = await describeMachine(workspace.filesystem, bench.ballast.program);
  const describe = (found: readonly RowResult[]): Results => {
    const finished = new Date().toISOString();
    const later = { schema: 1, finished, machine, settings, rows: found } as const;
    return earlier === undefined ? later : mergeResults(earlier, later, ids);
  };
  // What cannot be merged is told before it is measured.
  describe([]);
  const path = await chooseFile(options);
  const { found, failures } = await runStages(bench, chosen, (rowsSoFar) =>
    writeFile(path, `${JSON.stringify(describe(rowsSoFar), null, 1)}\n`),
  );
  const pages = writeDocs ? await writeDocument(describe(found), join(checkout, "docs")) : [];
  for (const written of [path, ...pages]) console.log(written);
  for (const failure of failures) console.error(`FAILED ${failure}`);
  return failures.length === 0;
}

async function makeRoom(
  { settings, folder }: Options,
  chosen: ReadonlySet<string>,
): Promise<Workspace> {
  await mkdir(cache, { recursive: true });
  await sweepWorkspaces(folder === undefined ? [cache] : [cache, folder]);
  const wanted = stages.filter((stage) => stage.rows.some(({ id }) => chosen.has(id)));
  const dataBytes = Math.max(...wanted.map((stage) => stage.dataBytes(settings)));
  return openWorkspace({ dataBytes, folder, cache });
}

async function openBench(
  { settings, ballast }: Options,
  workspace: Workspace,
  signal: AbortSignal,
): Promise<Bench> {
  const print = (line: string) => console.error(line);
  print(`data in ${workspace.fast} (${workspace.filesystem})`);
  await installTools(settings.huge, print);
  const inside = (name: string) => join(workspace.disk, name);
  const program = resolve(ballast ?? (await installBallast(inside("package"))));
  const measured = { program, cache: inside("cache") };
  return { settings, workspace, ballast: measured, signal, print };
}

/** `keep` is given all rows so far after each: who stops a long run keeps what it measured. */
async function runStages(
  bench: Bench,
  chosen: ReadonlySet<string>,
  keep: (found: readonly RowResult[]) => Promise<void>,
) {
  const found: RowResult[] = [];
  const failures: string[] = [];
  for (const stage of stages)
    await stage.run(bench, chosen, {
      onRow: async (row) => {
        found.push(row);
        console.log(formatRow(row, !bench.settings.smoke));
        await keep(found);
      },
      onFailure: (id, error) => {
        failures.push(`${id}: ${error instanceof Error ? error.message : String(error)}`);
        bench.print(`  FAILED: ${failures.at(-1)}`);
      },
    });
  return { found, failures };
}

async function chooseFile({ json }: Options): Promise<string> {
  const time = new Date().toISOString().replaceAll(":", "-").replace(/\..*/, "");
  const path = resolve(json ?? join(cache, `${time}.json`));
  await mkdir(dirname(path), { recursive: true });
  return path;
}
