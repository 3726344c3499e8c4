import { execFile } from "node:child_process";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { losePower } from "./crash-power.ts";
import {
  brokenTrees,
  describeState,
  differences,
  type FolderState,
  lostEntries,
  wrongEntries,
} from "./crash-state.ts";
import type { CrashMoment } from "./crash-sweep.ts";

export interface CrashFolderOptions {
  /** A folder of the scene's own. */
  readonly place: string;
  /** What the command starts from: a folder to copy, or nothing. */
  readonly prepared?: string | undefined;
  /** What the command leaves when nobody kills it. */
  readonly whole: FolderState;
  /** What else may be seen meanwhile, besides what it starts from. */
  readonly between?: readonly FolderState[] | undefined;
  /** Looks at more than names and bytes; throws when something is wrong. */
  readonly inspect?: ((root: string) => Promise<void>) | undefined;
  /** Runs the same command to its end, as a caller of the library; resolves to the bytes it moved. */
  readonly repeat: (root: string) => Promise<number>;
  /** Bytes that it has to move, after a kill that left `root` like this. */
  readonly missingBytes: (root: string) => Promise<number>;
}

/** The folder that a command changes while it is killed again and again. */
export interface CrashFolder {
  /** Where the command keeps its settings. */
  readonly home: string;
  readonly root: string;
  prepare(): Promise<void>;
  /**
   * After a kill nothing is visible that is not whole and right, and nothing that stays is gone, also
   * when the machine lost power with it. Run again, the command moves nothing that is there already,
   * and leaves just what it leaves when nobody kills it. Throws where that is not so.
   */
  check(moment: CrashMoment): Promise<void>;
}

export async function createCrashFolder(options: CrashFolderOptions): Promise<CrashFolder> {
  const { place, prepared, whole, between = [], inspect, repeat, missingBytes } = options;
  const [home, root, dark] = [join(place, "home"), join(place, "at"), join(place, "dark")];
  const before = await describeState(prepared ?? join(place, "nothing"));
  await mkdir(home);

  const expectSound = async (folder: string) => {
    const state = await describeState(folder);
    expectNone("wrong", wrongEntries(state, [before, whole, ...between]));
    expectNone("in a tree that is not whole", brokenTrees(state, [before, whole]));
    expectNone("gone", lostEntries(state, before, whole));
    await inspect?.(folder);
  };

  const expectHealed = async (folder: string) => {
    const missing = await missingBytes(folder);
    const moved = await repeat(folder);
    if (moved > missing) throw new Error(`moved ${moved} bytes, ${missing} were missing`);
    expectNone("after the next run", differences(await describeState(folder), whole));
  };

  const checkPowerLoss = async (moment: CrashMoment) => {
    await removeFolder(dark);
    await copyFolder(moment.root, dark);
    if (!(await losePower(dark, { root, steps: moment.steps }))) return;
    await expectSound(dark);
    await expectHealed(dark);
  };

  return {
    home,
    root,
    prepare: async () => {
      await removeFolder(root);
      if (prepared !== undefined) await copyFolder(prepared, root);
    },
    check: async (moment) => {
      await expectSound(moment.root);
      if (moment.steps.length > 0) await checkPowerLoss(moment);
      await expectHealed(moment.root);
      await removeFolder(moment.root);
    },
  };
}

function expectNone(what: string, lines: readonly string[]): void {
  if (lines.length > 0) throw new Error(`${what}:\n  ${lines.slice(0, 8).join("\n  ")}`);
}

/** Copies a folder as it is: hard links, modes, times, sockets. */
export async function copyFolder(from: string, to: string): Promise<void> {
  await promisify(execFile)("cp", ["-a", from, to]);
}

/** Removes a folder, whatever is read-only in it; nothing happens when it is not there. */
async function removeFolder(path: string): Promise<void> {
  if (process.getuid?.() !== 0)
    await promisify(execFile)("chmod", ["-R", "u+w", path]).catch(() => undefined);
  await rm(path, { recursive: true, force: true });
}
