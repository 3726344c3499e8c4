import type { Step } from "./crash-tracer.ts";

/** Where one run is looked at, by the names of its steps. */
export interface CrashPoints {
  /** Here a copy is made while the program stands still. */
  readonly copyAt: readonly string[];
  /** One of them, at which it is killed then. */
  readonly killAt: string;
}

/** What a kill leaves. */
export interface CrashMoment {
  /** The step it comes before. */
  readonly name: string;
  /** It comes in the middle of that step, which is a write. */
  readonly isTorn: boolean;
  /** The folder that the command changed, or a copy of it. */
  readonly root: string;
  /** The system calls before it; none where steps are something else. */
  readonly steps: readonly Step[];
}

/** A command that ran to its end or to its kill. */
export interface CrashRun {
  readonly moments: readonly CrashMoment[];
  /** The steps it made; each name once. */
  readonly names: readonly string[];
  /** What it wrote to standard error, when nobody was to kill it and it failed. */
  readonly failure: string | undefined;
}

/** One command in a folder of its own, to be killed again and again. */
export interface CrashScene extends AsyncDisposable {
  /** Puts everything into the state from which the command starts. */
  prepare(): Promise<void>;
  /** Runs the command; without points to its end. */
  run(at: CrashPoints | undefined): Promise<CrashRun>;
  /** Looks at what a kill left, and runs the command again. Throws when something is wrong. */
  check(moment: CrashMoment): Promise<void>;
}

export interface CrashReport {
  /** Steps of a run that nobody killed. */
  readonly steps: number;
  /** Moments before a step, and in the middle of a write, that were looked at. */
  readonly before: number;
  readonly torn: number;
  /** Processes that were killed. */
  readonly kills: number;
  /** Steps that no other run made, however often it was tried. */
  readonly missed: readonly string[];
  /** What was wrong, and after which step. */
  readonly failures: readonly string[];
}

/** How many scenes are played at a time. */
const lanes = 2;
/** In how many runs a step is waited for: threads make their steps in another order now and then. */
const maxTries = 5;

/**
 * Goes through every step of a command: what a kill before it leaves, and in the middle of it where
 * it is a write, is checked. Each run is killed at the last of `stepsPerKill` steps; at the others a
 * copy is made while the program stands still (crash-tracer.py), which costs far less than a run.
 */
export async function sweepSteps(
  open: () => Promise<CrashScene>,
  { stepsPerKill }: { readonly stepsPerKill: number },
): Promise<CrashReport> {
  await using resources = new AsyncDisposableStack();
  const scenes = await Promise.all(Array.from({ length: lanes }, open));
  for (const scene of scenes) resources.use(scene);
  const { names, failure } = await scout(scenes[0]);
  const failures = failure === undefined ? [] : [failure];
  const pending = names.map((name) => ({ name, tries: 0 }));
  const missed: string[] = [];
  const counts = { before: 0, torn: 0, kills: 0 };

  async function playNext(scene: CrashScene): Promise<void> {
    const wanted = pending.splice(0, stepsPerKill);
    const copyAt = wanted.map(({ name }) => name);
    const killAt = copyAt.at(-1) ?? "";
    await scene.prepare();
    const { moments } = await scene.run({ copyAt, killAt });
    for (const moment of moments) await playMoment(scene, moment);
    if (moments.some(({ name }) => name === killAt)) counts.kills += 1;
    for (const { name, tries } of wanted)
      if (moments.some((moment) => moment.name === name)) continue;
      else if (tries + 1 < maxTries) pending.push({ name, tries: tries + 1 });
      else missed.push(name);
  }

  async function playMoment(scene: CrashScene, moment: CrashMoment): Promise<void> {
    const { name, isTorn } = moment;
    counts[isTorn ? "torn" : "before"] += 1;
    try {
      await scene.check(moment);
    } catch (error) {
      failures.push(`killed ${isTorn ? "in the middle of" : "before"} ${name}: ${String(error)}`);
    }
  }

  const play = async (scene: CrashScene) => {
    while (pending.length > 0) await playNext(scene);
  };
  await Promise.all(scenes.map(play));
  return { steps: names.length, ...counts, missed, failures };
}

/** The first run tells what steps there are. */
async function scout(scene: CrashScene | undefined): Promise<CrashRun> {
  if (scene === undefined) throw new Error("no scene");
  await scene.prepare();
  return scene.run(undefined);
}
