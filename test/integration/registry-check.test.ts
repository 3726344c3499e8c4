import { writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkRegistry, isModelError, push } from "../../src/index.ts";
import {
  type RegistryOptions,
  type RegistryServer,
  startRegistry,
} from "../../src/registry/server/server.ts";
import { checkAnyway as check, found, words } from "../support/check-answers.ts";
import { startLyingRegistry } from "../support/lying-registry.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";

let folder: TemporaryFolder;
beforeEach(async () => {
  folder = await makeTemporaryFolder();
});
afterEach(() => folder[Symbol.asyncDispose]());

const start = (options: Omit<RegistryOptions, "root"> = {}): Promise<RegistryServer> =>
  startRegistry({ root: folder.path, ...options });

describe("a check of a registry", () => {
  interface Hosted {
    readonly name: string;
    readonly options: Omit<RegistryOptions, "root">;
    readonly id: string;
    readonly answer: string;
    readonly topic: string;
    readonly says: string;
  }
  const hosted: readonly Hosted[] = [
    {
      name: "without a Referrers API",
      options: { offers: { referrers: false } },
      id: "referrers",
      answer: "no 404 UNSUPPORTED",
      topic: "signatures",
      says: "limited: no Referrers API",
    },
    {
      name: "without ranges",
      options: { offers: { ranges: false } },
      id: "range",
      answer: "no 200 with the whole blob",
      topic: "pull of parts",
      says: "slow: no ranges",
    },
    {
      name: "without chunks",
      options: { offers: { chunked: false } },
      id: "chunks",
      answer: "no 405 UNSUPPORTED",
      topic: "other clients",
      says: "limited: no uploads in chunks; Ballast sends none",
    },
    {
      name: "without mounts",
      options: { offers: { mounts: false } },
      id: "mount",
      answer: "no 202: wants it to be uploaded",
      topic: "mounts",
      says: "slow: no mounts",
    },
    {
      name: "with at most 500 layers",
      options: { limits: { maxLayers: 500 } },
      id: "limit-layers",
      answer: "no 4",
      topic: "large models",
      says: "limited: not more than 600 layers",
    },
    {
      name: "that redirects readers of blobs",
      options: { redirectBlobs: {} },
      id: "blob-place",
      answer: "yes by redirect",
      topic: "pull",
      says: "works",
    },
  ];
  test.each(hosted)("$name: says so", async ({ options, id, answer, topic, says }) => {
    await using registry = await start(options);
    const result = await check(registry.address);
    expect([result.pushes, result.pulls]).toEqual([true, true]);
    expect(found(result, id)).toContain(answer);
    expect(words(result, topic)).toContain(says);
  });

  test("that deletes nothing writes nothing unless told to, and then says what stays", async () => {
    await using registry = await start({ offers: { deletes: false } });
    const notices: string[] = [];
    const refusal = await check(registry.address, { acceptLeftovers: false }).catch(
      (error: unknown) => error,
    );
    if (!isModelError(refusal, "REGISTRY_UNSUPPORTED")) throw refusal;
    expect(refusal.message).toMatch(/deletes no manifests \(405 UNSUPPORTED\): the tags ballast-/);
    const list = `http://${registry.address}/v2/team/models/tags/list`;
    expect((await fetch(list)).status).toBe(404);

    const result = await check(registry.address, {
      onProgress: (event: { message?: string }) => notices.push(event.message ?? ""),
    });
    const announced = notices[0]?.match(/(?:ballast-check-[\w-]+|sha256-\w+)/g) ?? [];
    const { tags } = (await (await fetch(list)).json()) as { tags: string[] };
    expect(tags.length).toBeGreaterThan(5);
    expect(result.left.tags.toSorted()).toEqual(tags.toSorted());
    // A manifest that is refused got no tag.
    expect(announced).toEqual(expect.arrayContaining(tags));
    const bytes = Number(/at most (\d+) bytes/.exec(notices[0] ?? "")?.[1]);
    expect(result.left.bytes).toBeLessThanOrEqual(bytes);
    expect(found(result, "limit-manifest")).toBe("skipped it would stay");
  });

  test("with a quota waits, and finds the same", async () => {
    await using registry = await start();
    await using liar = await startLyingRegistry(registry.address);
    let refused = 0;
    liar.lie = ({ count }) => {
      if (count % 40 !== 0) return undefined;
      refused += 1;
      return { instead: { status: 429, headers: { "retry-after": "0" } } };
    };
    const result = await check(liar.address);
    expect(refused).toBeGreaterThan(3);
    expect(result.behaviours.filter(({ said }) => said?.includes("429"))).toEqual([]);
    expect([result.pushes, result.pulls]).toEqual([true, true]);
  });

  test("that only reads sends nothing but GET and HEAD", async () => {
    await using registry = await start();
    const first = await check(registry.address);
    expect(first.pushes).toBe(true);
    await writeFile(`${folder.path}/weights.bin`, Buffer.alloc(5000, 7));
    const model = `${registry.address}/team/small:v1`;
    await push({ source: `${folder.path}/weights.bin`, reference: model });
    await using liar = await startLyingRegistry(registry.address);
    const methods = new Set<string>();
    liar.lie = ({ method }) => void methods.add(method);
    const result = await checkRegistry({
      reference: `${liar.address}/team/small:v1`,
      readOnly: true,
    });
    expect([...methods].sort()).toEqual(["GET", "HEAD"]);
    expect([result.pushes, result.pulls]).toEqual([undefined, true]);
    expect(found(result, "range")).toBe("yes");
    expect(words(result, "push")).toMatch(/^unknown: /);
  });

  test("of a model that is not there is NOT_FOUND", async () => {
    await using registry = await start();
    const reference = `${registry.address}/team/models:v1`;
    await expect(checkRegistry({ reference, readOnly: true })).rejects.toMatchObject({
      code: "NOT_FOUND",
    });
    await expect(checkRegistry({ reference })).rejects.toMatchObject({ code: "INVALID_ARGUMENT" });
  });
});

test("a check by a profile that is none is refused before anything is sent", async () => {
  await using registry = await start();
  await expect(check(registry.address, { registryProfile: "nobody's" })).rejects.toMatchObject({
    code: "INVALID_ARGUMENT",
    hint: expect.stringContaining("ecr") as unknown,
  });
});
