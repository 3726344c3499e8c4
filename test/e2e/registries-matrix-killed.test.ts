import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { pull, push } from "../../src/index.ts";
import {
  type KillableRegistry,
  type RegistryKind,
  startKillable,
} from "../support/any-registry.ts";
import { hashFiles } from "../support/file-digests.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";
import { toolsMissing } from "../support/programs.ts";
import { tensorBytes, writeRandomModel } from "../support/random-model.ts";
import {
  type Exchange,
  type RecordingProxy,
  startRecordingProxy,
} from "../support/recording-proxy.ts";

const kinds: readonly RegistryKind[] = ["v3", "v2", "embedded"];
const seeds = Array.from({ length: 14 }, (_, at) => `layer ${at}`);
const repository = "team/model";

describe.skipIf(toolsMissing("registry", "docker-registry"))("a registry that is killed", () => {
  let folder: TemporaryFolder;
  let model: string;
  let expected: Record<string, string>;

  beforeAll(async () => {
    folder = await makeTemporaryFolder();
    model = join(folder.path, "model");
    await writeRandomModel(model, seeds);
    expected = await hashFiles(model);
  });
  afterAll(() => folder[Symbol.asyncDispose]());

  test.each(kinds)(
    "%s, in the middle of a push: the same call later sends only what is missing",
    async (kind) => {
      await using place = await startPlace(kind);
      const { proxy } = place;
      const reference = `${proxy.address}/${repository}:v1`;
      proxy.onPass = (exchange) => {
        if (isUploaded(exchange)) place.kill();
      };
      await expect(push({ source: model, reference })).rejects.toMatchObject({
        code: "REGISTRY_UNAVAILABLE",
        message: expect.stringContaining(proxy.address),
      });
      await place.restart();
      const kept = await place.registry.blobs(repository);
      const start = proxy.exchanges.length;
      const pushed = await push({ source: model, reference });
      const sent = proxy.exchanges.slice(start).filter(isUploaded).map(digestIn);
      expect(kept.size).toBeGreaterThan(0);
      expect(sent.length).toBeGreaterThan(0);
      expect(sent.filter((digest) => kept.has(digest))).toEqual([]);
      expect(pushed.bytes.moved).toBe(pushed.bytes.total - sum(kept.values()));
      await expectPull(reference, join(folder.path, `pushed-${kind}`));
    },
  );

  test.each(kinds)(
    "%s, in the middle of a pull: the same call later fetches only what is missing",
    async (kind) => {
      await using place = await startPlace(kind);
      const { proxy } = place;
      const reference = `${proxy.address}/${repository}:v1`;
      await push({ source: model, reference });
      proxy.onPass = (exchange) => {
        if (isLayerRange(exchange) && exchange.complete) place.kill();
      };
      const store = join(folder.path, `store-${kind}`);
      await expect(pull({ reference, store })).rejects.toMatchObject({
        code: "REGISTRY_UNAVAILABLE",
        message: expect.stringContaining(proxy.address),
      });
      await place.restart();
      const start = proxy.exchanges.length;
      const pulled = await pull({ reference, store });
      const fetched = proxy.exchanges.slice(start).filter(({ url }) => url.includes("/blobs/"));
      expect(pulled.bytes.reused).toBeGreaterThanOrEqual(tensorBytes);
      expect(pulled.bytes.moved + pulled.bytes.reused).toBe(pulled.bytes.total);
      // The index came with the first call; one byte is asked for to see whether layers are redirected.
      expect(sum(fetched.map(({ responseBytes }) => responseBytes))).toBe(pulled.bytes.moved + 1);
      expect(await hashFiles(pulled.path)).toEqual(expected);
    },
  );

  test.each(kinds)("%s, and comes back: push and pull go on by themselves", async (kind) => {
    await using place = await startPlace(kind);
    const { proxy } = place;
    const reference = `${proxy.address}/${repository}:v1`;
    const restarts: Promise<void>[] = [];
    const restartOnce = (count: number) => {
      if (restarts.length < count) restarts.push(place.restart());
    };
    proxy.onPass = (exchange) => {
      if (isUploaded(exchange)) restartOnce(1);
    };
    await push({ source: model, reference });
    await Promise.all(restarts);
    proxy.onPass = (exchange) => {
      if (isLayerRange(exchange)) restartOnce(2);
    };
    await expectPull(reference, join(folder.path, `back-${kind}`));
    await Promise.all(restarts);
    expect(restarts).toHaveLength(2);
  });

  async function expectPull(reference: string, output: string): Promise<void> {
    await pull({ reference, output });
    expect(await hashFiles(output)).toEqual(expected);
  }

  async function startPlace(kind: RegistryKind): Promise<Place> {
    const root = join(folder.path, `root-${kind}-${Math.random()}`);
    let registry = await startKillable(kind, root);
    const proxy = await startRecordingProxy(registry.address);
    let killed: Promise<void> | undefined;
    return {
      proxy,
      get registry() {
        return registry;
      },
      kill() {
        killed ??= registry.kill();
      },
      async restart() {
        proxy.onPass = undefined;
        await (killed ?? registry.kill());
        await registry[Symbol.asyncDispose]();
        registry = await startKillable(kind, root);
        proxy.target = registry.address;
        killed = undefined;
      },
      async [Symbol.asyncDispose]() {
        await proxy[Symbol.asyncDispose]();
        await registry[Symbol.asyncDispose]();
      },
    };
  }
});

/** A registry that may be killed, behind an address that stays. */
interface Place extends AsyncDisposable {
  readonly proxy: RecordingProxy;
  readonly registry: KillableRegistry;
  kill(): void;
  /** Kills it if it runs, and starts it again over the same folder. */
  restart(): Promise<void>;
}

function isUploaded({ method, url, status }: Exchange): boolean {
  return method === "PUT" && url.includes("/blobs/uploads/") && status === 201;
}

/** A range of a layer, of which at least one tensor has passed. */
function isLayerRange({ method, url, responseBytes }: Exchange): boolean {
  return method === "GET" && url.includes("/blobs/") && responseBytes >= tensorBytes;
}

function digestIn({ url }: Exchange): string {
  return /sha256(?::|%3A)[0-9a-f]{64}/i.exec(url)?.[0].replace("%3A", ":") ?? "";
}

function sum(numbers: Iterable<number>): number {
  return [...numbers].reduce((total, each) => total + each, 0);
}
