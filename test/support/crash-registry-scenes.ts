import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isModelError } from "../../src/core/errors.ts";
import { push } from "../../src/model/push.ts";
import { pruneLayout } from "../../src/registry/server/prune.ts";
import { startRegistry } from "../../src/registry/server/server.ts";
import { startBallast } from "./ballast-command.ts";
import { type CrashFolder, copyFolder, createCrashFolder } from "./crash-folder.ts";
import {
  expectWholeTags,
  missingLayers,
  type PushStage,
  pushedTag,
  setPushStage,
} from "./crash-push.ts";
import { describeState } from "./crash-state.ts";
import type { CrashPoints, CrashRun, CrashScene } from "./crash-sweep.ts";
import { traceBallast } from "./crash-tracer.ts";
import { type Exchange, startRecordingProxy } from "./recording-proxy.ts";
import { makeFolder } from "./store-folders.ts";
import { mebi } from "./workplace.ts";

const repository = "model";

/** `ballast push` to a registry; its steps are what passes between the two. */
export async function openRegistryPushScene(): Promise<CrashScene> {
  await using resources = new AsyncDisposableStack();
  const { path: place } = resources.use(await makeFolder());
  const { stage, folder } = await openRegistryFolder(place);
  const proxy = resources.use(await startRecordingProxy(""));
  const args = ["push", "--quiet", stage.source, referenceTo(proxy.address)];

  const run = async (at: CrashPoints | undefined): Promise<CrashRun> => {
    await using registry = await startRegistry({ root: folder.root });
    proxy.target = registry.address;
    proxy.exchanges.length = 0;
    const names: string[] = [];
    const { child, result } = startBallast(args, { home: folder.home });
    proxy.onPass = (exchange) => {
      const name = describe(exchange, proxy.exchanges.indexOf(exchange));
      if (names.includes(name) || child.killed) return;
      names.push(name);
      if (name === at?.killAt) child.kill("SIGKILL");
    };
    const { code, err } = await result;
    if (!child.killed) return { moments: [], names, failure: code === 0 ? undefined : err };
    const moment = { name: at?.killAt ?? "", isTorn: false, root: folder.root, steps: [] };
    return { moments: [moment], names, failure: undefined };
  };

  const owned = resources.move();
  return { ...folder, run, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** `ballast registry serve` while a model is pushed to it. */
export async function openRegistryServerScene(): Promise<CrashScene> {
  await using resources = new AsyncDisposableStack();
  const { path: place } = resources.use(await makeFolder());
  const { stage, folder } = await openRegistryFolder(place);
  const { home, root } = folder;
  const args = ["registry", "serve", "--quiet", "--root", root, "--listen", "127.0.0.1:0"];

  const run = async (at: CrashPoints | undefined): Promise<CrashRun> => {
    const [served, ended] = [new AbortController(), new AbortController()];
    let pushing: Promise<void> | undefined;
    const onOutput = (printed: string) => {
      const reference = referenceTo(printed.trim().replace("http://", ""));
      pushing = pushUntil(ended.signal, { source: stage.source, reference }).finally(() =>
        served.abort(),
      );
    };
    const signal = served.signal;
    const traced = await traceBallast({ args, home, root, at, onOutput, signal });
    ended.abort();
    await pushing;
    // Nobody stops a registry but who started it.
    return { ...traced, failure: undefined };
  };

  const owned = resources.move();
  return { ...folder, run, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** `ballast registry prune` of a layout in which a tag has moved on. */
export async function openRegistryPruneScene(): Promise<CrashScene> {
  await using resources = new AsyncDisposableStack();
  const { path: place } = resources.use(await makeFolder());
  await setPushStage(place, "the version before");
  const clean = join(place, "pruned");
  await copyFolder(join(place, "clean"), clean);
  await pruneLayout(clean, { graceMs: 0 });
  const folder = await createCrashFolder({
    place,
    prepared: join(place, "clean"),
    whole: await describeState(clean),
    inspect: expectWholeTags,
    repeat: async (root) => {
      await pruneLayout(root, { graceMs: 0 });
      return 0;
    },
    missingBytes: () => Promise.resolve(0),
  });
  const { home, root } = folder;
  const args = ["registry", "prune", "--quiet", "--grace", "0s", `oci:${root}`];
  const owned = resources.move();
  return {
    ...folder,
    run: (at) => traceBallast({ args, home, root, at }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The root of a registry: a layout folder for its only repository. */
async function openRegistryFolder(
  place: string,
): Promise<{ readonly stage: PushStage; readonly folder: CrashFolder }> {
  const layouts = await setPushStage(place, "nothing");
  const inRoot = (state: PushStage["whole"]) =>
    new Map([
      [repository, "folder 755"],
      ...[...state].map(([path, what]) => [join(repository, path), what] as const),
    ]);
  const stage = { ...layouts, whole: inRoot(layouts.whole), between: layouts.between.map(inRoot) };
  const { source } = stage;
  const folder = await createCrashFolder({
    ...stage,
    place,
    inspect: (root) => expectWholeTags(join(root, repository)),
    repeat: async (root) => {
      const { moved } = await pushOnce(root, source);
      await endSessions(root);
      return moved;
    },
    missingBytes: (root) => missingLayers(join(root, repository), stage),
  });
  return { stage, folder };
}

async function pushOnce(root: string, source: string): Promise<{ readonly moved: number }> {
  await using registry = await startRegistry({ root });
  return (await push({ source, reference: referenceTo(registry.address) })).bytes;
}

/** The upload that was killed could have gone on; nobody comes back for it. */
async function endSessions(root: string): Promise<void> {
  await using _registry = await startRegistry({ root, limits: { uploadIdleMs: 1 } });
  const uploads = join(root, repository, "uploads");
  for (let tries = 0; tries < 200; tries += 1) {
    if ((await readdir(uploads).catch(() => [])).length === 0) return;
    await delay(20);
  }
  throw new Error(`uploads stay: ${(await readdir(uploads)).join(" ")}`);
}

function referenceTo(address: string): string {
  return `${address}/${repository}:${pushedTag}`;
}

/** Pushes; an end because `signal` was aborted is none. */
async function pushUntil(
  signal: AbortSignal,
  options: { readonly source: string; readonly reference: string },
): Promise<void> {
  try {
    await push({ ...options, signal });
  } catch (error) {
    if (!isModelError(error, "CANCELLED")) throw error;
  }
}

/** Says where a request is: its body on the way, its answer known, its answer there. */
function describe(
  { method, url, status, requestBytes, complete }: Exchange,
  number: number,
): string {
  const name = `${number + 1}. ${method} ${url.replace(/uploads\/[^?]+/, "uploads/*")}`;
  if (status > 0) return `${name} ${status}${complete ? ", over" : ""}`;
  return `${name}, ${requestBytes > mebi ? "the rest" : "the beginning"} of its body`;
}
