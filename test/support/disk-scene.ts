import { linkSync, mkdirSync, statfsSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { type PullResult, pull } from "../../src/model/pull.ts";
import { type CommandOptions, type CommandResult, runBallast } from "./ballast-command.ts";
import { makeSafetensors } from "./models.ts";
import { type RecordingProxy, startRecordingProxy } from "./recording-proxy.ts";
import { mebi, openWorkplace, seededBytes, type Workplace } from "./workplace.ts";

/** A registry behind a proxy that counts, and the program that a user runs. */
export interface DiskScene extends AsyncDisposable {
  readonly place: Workplace;
  /** A reference to the registry, of `repository:tag`. */
  ref(name: string): string;
  run(args: readonly string[], options?: Partial<CommandOptions>): Promise<CommandResult>;
  /** Pulls through the library, which costs no start of a program. */
  pull(name: string, target: { store?: string; output?: string }): Promise<PullResult>;
  /** Bytes of blobs that the registry sent since this was last asked. */
  served(): number;
  /** Does something once, in the middle of an answer, when so many bytes of blobs have been sent. */
  whenServed(bytes: number, act: () => void): void;
}

/** Opens it; everything is gone when it is disposed. */
export async function openDiskScene(): Promise<DiskScene> {
  await using cleanups = new AsyncDisposableStack();
  const place = cleanups.use(await openWorkplace());
  const proxy = cleanups.use(await startRecordingProxy(place.ref("").slice(0, -1)));
  let counted = 0;
  const run: DiskScene["run"] = (args, options) =>
    runBallast(args, { home: place.inside("home"), ...options });
  const ref = (name: string) => `${proxy.address}/${name}`;
  const owned = cleanups.move();
  return {
    place,
    ref,
    run,
    pull: (name, target) => pull({ reference: ref(name), ...target }),
    served: () => {
      const before = counted;
      counted = blobBytes(proxy);
      return counted - before;
    },
    whenServed: (bytes, act) => {
      const start = blobBytes(proxy);
      proxy.onPass = () => {
        if (blobBytes(proxy) - start < bytes) return;
        proxy.onPass = undefined;
        act();
      };
    },
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  };
}

function blobBytes({ exchanges }: RecordingProxy): number {
  const blobs = exchanges.filter(({ method, url }) => method === "GET" && /\/blobs\//.test(url));
  return blobs.reduce((sum, { responseBytes }) => sum + responseBytes, 0);
}

/** Bytes of each chunk of the weights that `writeWeights` writes. */
export const chunkBytes: number = 2 * mebi;

/** Writes a model of weights in 2 MiB chunks, one for each seed, and a config; returns its folder. */
export function writeWeights(place: Workplace, name: string, seeds: string): Promise<string> {
  const tensors = seeds.split("").map((seed, at) => ({
    name: `layers.${String(at).padStart(2, "0")}.weight`,
    dtype: "U8",
    shape: [chunkBytes],
    bytes: seededBytes(`weights ${seed}`, chunkBytes),
  }));
  return place.write(name, {
    "model.safetensors": makeSafetensors(tensors),
    "config.json": JSON.stringify({ seeds }),
  });
}

/** A scene whose registry has a model of weights, `team/model:v1`. */
export interface WeightsScene extends DiskScene {
  /** What was pushed. */
  readonly source: string;
  /** The reference to it. */
  readonly model: string;
  readonly digest: string;
}

/** Opens it, with the model that `writeWeights` makes of these seeds. */
export async function openWeightsScene(seeds: string): Promise<WeightsScene> {
  await using cleanups = new AsyncDisposableStack();
  const scene = cleanups.use(await openDiskScene());
  const source = await writeWeights(scene.place, "source", seeds);
  const { digest } = await scene.place.push(source, "team/model:v1");
  const owned = cleanups.move();
  const model = scene.ref("team/model:v1");
  return { ...scene, source, model, digest, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Where a pull may bring a model to, for `test.each`: in words, as an option, as a flag. */
export const pullTargets = [
  ["a store", "store", "--store"],
  ["a folder", "output", "-o"],
] as const;

/** Takes all space of the filesystem at `folder`; dispose to give it back. */
export function fillDisk(folder: string): Disposable {
  const path = join(folder, "of-somebody-else");
  const { bavail, bsize } = statfsSync(folder);
  writeFileSync(path, "");
  expect(() => writeFileSync(path, Buffer.alloc(bavail * bsize + mebi, 7))).toThrow("ENOSPC");
  return {
    [Symbol.dispose]: () => {
      truncateSync(path);
      unlinkSync(path);
    },
  };
}

/** Takes all inodes of the tmpfs at `folder`, where a link takes one; dispose to give them back. */
export function takeInodes(folder: string): Disposable {
  const own = join(folder, "of-somebody-else");
  mkdirSync(own);
  const taken: string[] = [];
  const take = () => {
    for (;;) {
      const path = join(own, String(taken.length));
      if (taken.length === 0) writeFileSync(path, "");
      else linkSync(join(own, "0"), path);
      taken.push(path);
    }
  };
  expect(take).toThrow("ENOSPC");
  return {
    [Symbol.dispose]: () => {
      for (const path of taken) unlinkSync(path);
    },
  };
}

/** What a command that failed said: `CODE: message`, and the hint. */
export function failureOf({ err }: CommandResult): { message: string; hint: string } {
  const lines = err.split("\n");
  const at = lines.findIndex((line) => line.startsWith("ballast: "));
  const [message = "", hint = ""] = lines.slice(at);
  return { message: message.replace("ballast: ", ""), hint: hint.trim() };
}

/** Paths of the model's files that stand in an output folder. */
export async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .filter((path) => !path.startsWith(".ballast/"));
}
