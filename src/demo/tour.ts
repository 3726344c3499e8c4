import { rm } from "node:fs/promises";
import { join } from "node:path";
import { formatBytes, formatCount, formatSeconds } from "../cli/amounts.ts";
import { type Journey, openStage, type Stage } from "./journey.ts";
import type { LlamaShape } from "./llama-shape.ts";
import { type MountedModel, tourNode } from "./node-tour.ts";
import { listSamples } from "./sample-models.ts";

export interface TourOptions {
  /** A folder of the demo's own. */
  readonly folder: string;
  readonly signal: AbortSignal;
  /** Tells the audience, line by line. */
  readonly say: (line: string) => void;
}

/** Sends a made-up model and three descendants around; rejects when a single byte is wrong. */
export async function tourSamples(shape: LlamaShape, options: TourOptions): Promise<Journey[]> {
  const { folder, signal, say } = options;
  await using stage = await openStage(folder, signal);
  const journeys: Journey[] = [];
  let last: MountedModel | undefined;
  for (const [at, sample] of listSamples(shape).entries()) {
    signal.throwIfAborted();
    say("");
    say(`${at + 1}. ${sample.tag}: ${sample.description}`);
    const source = join(folder, sample.tag);
    await sample.write(source, signal);
    const reference = `${stage.address}/demo/llama:${sample.tag}`;
    const { journey, files } = await travel(stage, { source, reference, interrupt: at === 0, say });
    journeys.push(journey);
    last = { reference, files };
    await rm(source, { recursive: true });
  }
  if (last !== undefined) await tourNode(last, options);
  return journeys;
}

/** Sends the user's own model around; rejects when a single byte is wrong. */
export async function tourOwnModel(source: string, options: TourOptions): Promise<Journey[]> {
  const { folder, signal, say } = options;
  await using stage = await openStage(folder, signal);
  say("");
  const reference = `${stage.address}/demo/model:v1`;
  const { journey, files } = await travel(stage, { source, reference, interrupt: true, say });
  await tourNode({ reference, files }, options);
  return [journey];
}

interface Trip {
  readonly source: string;
  readonly reference: string;
  readonly interrupt: boolean;
  readonly say: (line: string) => void;
}

/** Resolves with where the files were pulled to, too. */
async function travel(
  stage: Stage,
  trip: Trip,
): Promise<{ readonly journey: Journey; readonly files: string }> {
  const { source, reference, say } = trip;
  say(`   $ ballast push ${source} ${reference}`);
  const push = await stage.push(source, reference);
  const { bytes, files, layers } = push.result;
  say(
    `     ${formatBytes(bytes.total)} in ${formatCount(files, "file")}: ${legText(push, "sent")}`,
  );
  const resumed = trip.interrupt && (await interrupt(stage, trip, { bytes, layers }));
  say(`   $ ballast pull ${reference}${resumed ? "      (again)" : ""}`);
  const pull = await stage.pull(reference);
  say(`     ${legText(pull, "fetched")}`);
  if (resumed)
    say(`     ${formatBytes(pull.result.bytes.reused)} survived the kill and did not move again`);
  const checkedFiles = await stage.compare(source, pull.result.path);
  if (checkedFiles !== files) throw new Error(`${checkedFiles} of ${files} files were pulled`);
  say(`     sha256 of ${formatCount(files, "file")}: equal to the source's, every one`);
  const journey = {
    tag: reference.slice(reference.lastIndexOf(":") + 1),
    totalBytes: bytes.total,
    push: { ...bytes, seconds: push.seconds },
    pull: { ...pull.result.bytes, seconds: pull.seconds },
    resumed,
    checkedFiles,
  };
  return { journey, files: pull.result.path };
}

/** Kills a pull about half-way: layers are asked for in ranges of at most 64 MiB. */
async function interrupt(
  stage: Stage,
  { reference, say }: Trip,
  pushed: {
    readonly bytes: { readonly total: number };
    readonly layers: { readonly total: number };
  },
): Promise<boolean> {
  const ranges = Math.max(pushed.layers.total, pushed.bytes.total / 64 / 1024 ** 2);
  say(`   $ ballast pull ${reference}`);
  const killed = await stage.killPull(reference, 1 + Math.ceil(ranges / 2));
  say(
    killed
      ? "     killed in the middle, with SIGKILL: nothing could be tidied up"
      : "     over before it could be killed: this model is too small for that",
  );
  return killed;
}

function legText(
  leg: { result: { bytes: { moved: number; reused: number } }; seconds: number },
  verb: string,
): string {
  const { moved, reused } = leg.result.bytes;
  return `${verb} ${formatBytes(moved)}, reused ${formatBytes(reused)}, ${formatSeconds(leg.seconds)}`;
}
