import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  diff,
  inspect,
  type ProgressEvent,
  type ProgressListener,
  pull,
  push,
  verify,
} from "../../src/index.ts";
import {
  type AnyRegistry,
  login,
  type RegistryKind,
  startAnyRegistry,
} from "../support/any-registry.ts";
import { type Certificates, makeCertificates } from "../support/certificates.ts";
import { hashFiles } from "../support/file-digests.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";
import { toolsMissing } from "../support/programs.ts";
import { tensorBytes, writeRandomModel } from "../support/random-model.ts";

const kinds: readonly RegistryKind[] = ["v3", "v2", "embedded"];
const accesses = [
  { auth: "none", tls: false },
  { auth: "htpasswd", tls: true },
  { auth: "token", tls: true },
] as const;
const setups = kinds.flatMap((kind) => accesses.map((access) => ({ kind, ...access })));
const layers = ["a", "b", "c", "d", "e"];
const tunedLayers = ["a", "b", "X", "d", "e"];

describe.skipIf(toolsMissing("registry", "docker-registry"))("every registry", () => {
  let folder: TemporaryFolder;
  let certificates: Certificates;
  let model: string;
  let tuned: string;
  let count = 0;

  beforeAll(async () => {
    folder = await makeTemporaryFolder();
    certificates = await makeCertificates(folder.path);
    model = join(folder.path, "model");
    tuned = join(folder.path, "tuned");
    await writeRandomModel(model, layers);
    await writeRandomModel(tuned, tunedLayers);
  });
  afterAll(() => folder[Symbol.asyncDispose]());

  test.each(setups.filter(({ kind, auth }) => kind !== "embedded" || auth !== "token"))(
    "$kind, auth $auth, tls $tls: a model and its tune go in once and come out whole",
    async (setup) => {
      await using registry = await start(setup);
      const access = accessTo(setup.tls);
      const reference = (path: string) => `${registry.address}/${path}`;
      const v1 = reference("team/model:v1");
      const v2 = reference("team/model:v2");

      const first = await push({ source: model, reference: v1, ...access });
      expect(first.bytes.moved).toBe(first.bytes.total);
      const again = await push({ source: model, reference: v1, ...access });
      expect(again).toMatchObject({ digest: first.digest, bytes: { moved: 0 } });
      expect(again.previousDigest).toBeUndefined();

      const before = await registry.blobs("team/model");
      const second = await push({ source: tuned, reference: v2, base: v1, ...access });
      expect(second.base?.digest).toBe(first.digest);
      expect(second.bytes.moved).toBe(tensorBytes);
      const after = await registry.blobs("team/model");
      const gained = [...after].filter(([digest]) => !before.has(digest));
      expect(gained.filter(([, size]) => size >= tensorBytes).map(([, size]) => size)).toEqual([
        tensorBytes,
      ]);

      const store = join(folder.path, `store-${count}`);
      const pulled = await pull({ reference: v1, store, ...access });
      expect(await hashFiles(pulled.path)).toEqual(await hashFiles(model));
      const update = await pull({ reference: v2, store, ...access });
      expect(update.bytes.moved).toBe(tensorBytes);
      expect(await hashFiles(update.path)).toEqual(await hashFiles(tuned));

      expect((await diff({ from: v1, to: v2, ...access })).tensors.changed).toEqual([
        "model.layers.2.mlp.up_proj.weight",
      ]);
      expect((await inspect({ reference: v2, store, ...access })).here?.complete).toBe(true);
      expect((await verify({ target: v2, ...access })).problems).toEqual([]);
    },
  );

  test.each(setups.filter(({ kind, auth }) => kind !== "embedded" || auth !== "token"))(
    "$kind, auth $auth, tls $tls: a base in another repository is mounted, not sent",
    async (setup) => {
      await using registry = await start(setup);
      const access = accessTo(setup.tls);
      const base = `${registry.address}/team/origin:v1`;
      const reference = `${registry.address}/another/fork:v1`;
      await push({ source: model, reference: base, ...access });
      const fork = await push({ source: tuned, reference, base, ...access });
      expect(fork.bytes.moved).toBe(tensorBytes);
      expect(fork.base?.name).toContain(`${registry.address}/team/origin@`);
      const output = join(folder.path, `fork-${count}`);
      await pull({ reference, output, ...access });
      expect(await hashFiles(output)).toEqual(await hashFiles(tuned));
    },
  );

  test.each(["v3", "v2"] as const)(
    "%s: tokens that run out in the middle of a push and of a pull are renewed",
    async (kind) => {
      await using registry = await start({ kind, auth: "token", tls: true });
      const access = accessTo(true);
      const reference = `${registry.address}/team/model:v1`;
      const pushed = await push({
        source: model,
        reference,
        ...access,
        onProgress: expireTokens(registry, "bytes"),
      });
      expect(pushed.requests.token).toBeGreaterThan(1);
      const output = join(folder.path, `expired-${kind}`);
      const pulled = await pull({
        reference,
        output,
        ...access,
        onProgress: expireTokens(registry, "start"),
      });
      expect(await hashFiles(output)).toEqual(await hashFiles(model));
      expect(pulled.requests.token).toBeGreaterThan(1);
    },
  );

  test.each(setups.filter(({ kind, auth }) => kind !== "embedded" || auth !== "token"))(
    "$kind, auth $auth, tls $tls: a model that is not there is named",
    async (setup) => {
      await using registry = await start(setup);
      const access = accessTo(setup.tls);
      const missing = `${registry.address}/nobody/nothing:v1`;
      const output = join(folder.path, "never");
      await expect(pull({ reference: missing, output, ...access })).rejects.toMatchObject({
        code: "NOT_FOUND",
        message: expect.stringContaining(`${registry.address}/nobody/nothing`),
        hint: expect.stringMatching(/repository's name/),
      });
      const small = join(folder.path, "model/tokenizer");
      await push({ source: small, reference: `${registry.address}/team/small:v1`, ...access });
      const tag = { reference: `${registry.address}/team/small:v9`, ...access };
      await expect(inspect(tag)).rejects.toMatchObject({
        code: "NOT_FOUND",
        hint: "tags there: v1",
      });
    },
  );

  function start(setup: (typeof setups)[number]): Promise<AnyRegistry> {
    const { kind, auth, tls } = setup;
    count += 1;
    const root = join(folder.path, `root-${count}`);
    return startAnyRegistry({ kind, auth, root, tls: tls ? certificates.server : undefined });
  }

  function accessTo(tls: boolean) {
    return tls ? { plainHttp: false, credentials: login, ca: [certificates.authority] } : {};
  }
});

/**
 * At the first such event (the first bytes, or the start, when the model is known but nothing of it
 * was fetched), waits until every token given out before is refused, although the token server said
 * that it would last five minutes.
 */
function expireTokens({ tokens }: AnyRegistry, at: ProgressEvent["type"]): ProgressListener {
  if (tokens === undefined) throw new Error("a registry with token auth has a token endpoint");
  tokens.expiresInSeconds = 2;
  tokens.announcedSeconds = 300;
  let done = false;
  return (event) => {
    if (done || event.type !== at) return;
    done = true;
    // Lasting ones from here on, so that a slow machine cannot fail by being slow.
    tokens.expiresInSeconds = 300;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3100);
  };
}
