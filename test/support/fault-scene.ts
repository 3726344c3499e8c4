import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import type { ConnectionOptions } from "../../src/model/connection.ts";
import { type PullOptions, type PullResult, pull } from "../../src/model/pull.ts";
import { type PushOptions, type PushResult, push } from "../../src/model/push.ts";
import { verifyStore } from "../../src/model/stored-models.ts";
import { makeTemporaryFolder, writeTree } from "./models.ts";
import {
  type FaultRegistry,
  type FaultRegistryOptions,
  startFaultRegistry,
} from "./registry-faults.ts";
import { readTree, seededBytes } from "./workplace.ts";

/** A model in a folder, and what pushing it puts into a registry. */
export interface FaultModel extends AsyncDisposable {
  readonly source: string;
  readonly blobs: FaultRegistry["blobs"];
  readonly manifests: FaultRegistry["manifests"];
}

/** Chunks of the model, each a file of its own. */
export const chunkCount = 24;
export const chunkBytes = 100_000;

/** Makes it once for many scenes. */
export async function makeFaultModel(): Promise<FaultModel> {
  await using stack = new AsyncDisposableStack();
  const source = stack.use(await makeTemporaryFolder()).path;
  const files = Array.from({ length: chunkCount }, (_, at): [string, Uint8Array] => [
    `part-${at}.bin`,
    seededBytes(`part ${at}`, chunkBytes),
  ]);
  await writeTree(source, Object.fromEntries(files));
  await using registry = await startFaultRegistry();
  await push({ source, reference: `${registry.host}/team/model:v1` });
  const { blobs, manifests } = registry;
  const owned = stack.move();
  return { source, blobs, manifests, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** A model, a registry that misbehaves on request, and a store. */
export interface FaultScene extends AsyncDisposable {
  readonly registry: FaultRegistry;
  pull(options?: Partial<PullOptions>): Promise<PullResult>;
  push(options?: Partial<PushOptions>): Promise<PushResult>;
  /** Puts into the registry what a push would. */
  publish(): void;
  /** What a pull gave is the model. */
  expectModel(pulled: PullResult): Promise<void>;
  /** No tree is there, and what is in the store is what it says. */
  expectNothingVisible(): Promise<void>;
}

export interface FaultSceneOptions extends FaultRegistryOptions {
  /** For the calls. */
  readonly connection?: ConnectionOptions | undefined;
}

/** Opens it; the registry is empty. */
export async function openFaultScene(
  { source, blobs, manifests }: FaultModel,
  options: FaultSceneOptions = {},
): Promise<FaultScene> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await makeTemporaryFolder());
  const registry = stack.use(await startFaultRegistry(options));
  const store = join(folder.path, "store");
  const reference = `${registry.host}/team/model:v1`;
  const owned = stack.move();
  const { connection } = options;
  return {
    registry,
    pull: (more) => {
      const transfer = { connections: 4, rangeBytes: chunkBytes, threads: 1 };
      return pull({ reference, store, transfer, ...connection, ...more });
    },
    push: (more) => push({ source, reference, ...connection, ...more }),
    publish: () => {
      for (const [digest, bytes] of blobs) registry.blobs.set(digest, bytes);
      for (const [name, manifest] of manifests) registry.manifests.set(name, manifest);
    },
    async expectModel(pulled) {
      expect(await readTree(pulled.path)).toEqual(await readTree(source));
    },
    async expectNothingVisible() {
      expect(await readdir(join(store, "trees")).catch(() => [])).toEqual([]);
      const listed = await readdir(join(store, "files")).catch(() => []);
      const verified = listed.length === 0 ? undefined : await verifyStore({ store });
      expect(verified?.problems ?? []).toEqual([]);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** The scenes of one test file, all with one model. */
export interface FaultStage {
  model(): FaultModel;
  /** Takes another scene for this test. */
  reopen(options: FaultSceneOptions): Promise<void>;
}

/** Opens a scene for each test of the file, for `prepare` to get ready. */
export function stageFaults(prepare: (scene: FaultScene) => void): FaultStage {
  let model: FaultModel;
  let scene: FaultScene;
  const open = async (options: FaultSceneOptions) => {
    scene = await openFaultScene(model, options);
    prepare(scene);
  };
  beforeAll(async () => {
    model = await makeFaultModel();
  });
  afterAll(() => model[Symbol.asyncDispose]());
  beforeEach(() => open({}));
  afterEach(() => scene[Symbol.asyncDispose]());
  return {
    model: () => model,
    reopen: async (options) => {
      await scene[Symbol.asyncDispose]();
      await open(options);
    },
  };
}

/** Trouble that is over at once, so that nobody waits for it. */
export function trouble(status: number, retryAfter = "0"): Trouble {
  return { status, headers: { "retry-after": retryAfter } };
}

/** One of the server errors that pass. */
export function serverTrouble(line: string): Trouble {
  return trouble([500, 502, 503, 504][pick(line, 3)] ?? 500);
}

interface Trouble {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** Gives each request `failures(line)` answers of trouble before it is served. */
export function storm(
  registry: FaultRegistry,
  failures: (line: string) => number,
  answer: (line: string) => Trouble,
): { readonly answered: number } {
  const left = new Map<string, number>();
  let answered = 0;
  registry.intercept = ({ method, url, headers }) => {
    const line = `${method} ${url.replace(/[0-9a-f-]{36}/, "")} ${headers.range ?? ""}`;
    const more = left.get(line) ?? failures(line);
    left.set(line, more - 1);
    if (more <= 0) return undefined;
    answered += 1;
    return answer(line);
  };
  return {
    get answered() {
      return answered;
    },
  };
}

/** A number from 0 to `most` that looks random and is the same for the same text. */
export function pick(text: string, most: number): number {
  return Number.parseInt(digestOf(text).slice(-6), 16) % (most + 1);
}
