import type { MeasuredBallast } from "./clients/ballast.ts";
import type { RoundOptions } from "./measure/rounds.ts";
import type { RowResult, Settings } from "./results.ts";
import type { Workspace } from "./workspace.ts";

/** What every row has at hand. */
export interface Bench {
  readonly settings: Settings;
  readonly workspace: Workspace;
  readonly ballast: MeasuredBallast;
  readonly signal: AbortSignal;
  /** Tells the user what goes on. */
  readonly print: (line: string) => void;
}

/** A row without numbers yet. */
export interface RowHead {
  readonly id: string;
  /** One line: what is measured. */
  readonly title: string;
}

/** What a row adds to its head. */
export type Measured = Omit<RowResult, "id" | "title" | "facts" | "notes"> &
  Partial<Pick<RowResult, "facts" | "notes">>;

/** A row of the bench; `Scene` is what its stage prepared. */
export interface Row<Scene> extends RowHead {
  readonly measure: (scene: Scene, bench: Bench) => Promise<Measured>;
}

/** Rows that share what must be prepared for them. */
export interface Stage {
  readonly rows: readonly RowHead[];
  /** Bytes of memory or disk that its data take at most, without the programs. */
  dataBytes(settings: Settings): number;
  /** Measures the chosen rows; `onRow` hears of each, `onFailure` of what went wrong with one. */
  run(
    bench: Bench,
    chosen: ReadonlySet<string>,
    listener: {
      readonly onRow: (row: RowResult) => Promise<void>;
      readonly onFailure: (id: string, error: unknown) => void;
    },
  ): Promise<void>;
}

/** A stage whose `prepare` makes what its rows need; it is disposed after the last of them. */
export function defineStage<Scene extends AsyncDisposable>(options: {
  readonly prepare: (bench: Bench) => Promise<Scene>;
  readonly dataBytes: (settings: Settings) => number;
  readonly rows: readonly Row<Scene>[];
}): Stage {
  const { prepare, dataBytes, rows } = options;
  return {
    rows,
    dataBytes,
    run: async (bench, chosen, { onRow, onFailure }) => {
      const wanted = rows.filter(({ id }) => chosen.has(id));
      if (wanted.length === 0) return;
      const failed = (error: unknown) => {
        bench.signal.throwIfAborted();
        return error;
      };
      let scene: Scene;
      try {
        scene = await prepare(bench);
      } catch (error) {
        for (const { id } of wanted) onFailure(id, failed(error));
        return;
      }
      await using _ = scene;
      for (const { id, title, measure } of wanted) {
        bench.print(`${id}: ${title}`);
        try {
          await onRow({ id, title, facts: [], notes: [], ...(await measure(scene, bench)) });
        } catch (error) {
          onFailure(id, failed(error));
        }
      }
    },
  };
}

/** How rounds are run in a bench. */
export function roundOptions(bench: Bench): RoundOptions {
  const { settings, workspace, signal } = bench;
  const { rounds, warmups } = settings;
  const onRun: RoundOptions["onRun"] = (client, run, counts) =>
    bench.print(`  ${client}: ${run.seconds.toFixed(3)} s${counts ? "" : " (warm-up)"}`);
  return { rounds, warmups, folder: workspace.fast, signal, onRun };
}
