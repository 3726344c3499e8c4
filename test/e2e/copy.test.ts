import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { copy, push, verify } from "../../src/index.ts";
import { type AnyRegistry, type RegistryKind, startAnyRegistry } from "../support/any-registry.ts";
import { openRepository, putTree, readManifests } from "../support/artifacts.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";
import { runPeer } from "../support/peer-programs.ts";
import { toolPath, toolsMissing } from "../support/programs.ts";
import { writeRandomModel } from "../support/random-model.ts";

const tools = ["registry", "docker-registry", "crane", "regctl", "skopeo"] as const;
const kinds: readonly RegistryKind[] = ["v3", "v2", "embedded"];
const pairs = kinds.flatMap((from) => kinds.map((to) => ({ from, to })));

describe.skipIf(toolsMissing(...tools))("a copy", () => {
  let folder: TemporaryFolder;
  let registries: Record<RegistryKind, AnyRegistry>;
  let model: string;

  beforeAll(async () => {
    folder = await makeTemporaryFolder();
    const start = (kind: RegistryKind) =>
      startAnyRegistry({ kind, root: join(folder.path, `registry-${kind}`) });
    registries = {
      v3: await start("v3"),
      v2: await start("v2"),
      embedded: await start("embedded"),
    };
    model = join(folder.path, "model");
    await writeRandomModel(model, ["a", "b"]);
    const note = join(folder.path, "note.json");
    await writeFile(note, "{}");
    for (const kind of kinds) {
      await push({ source: model, reference: at(kind, "from/model:v1") });
      await using source = await openRepository(at(kind, "from/tree"));
      await putTree(source.repository, "v1");
      const attached = ["--artifact-type", "application/vnd.example.sbom", "--file", note];
      await regctl("artifact", "put", ...attached, "--subject", at(kind, "from/model:v1"));
    }
  });
  afterAll(async () => {
    for (const kind of kinds) await registries[kind][Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  test.each(pairs)(
    "from $from to $to is what crane and regctl find at both ends",
    async ({ from, to }) => {
      const name = `to/${from}-model`;
      const [source, target] = [at(from, "from/model:v1"), at(to, `${name}:v1`)];
      const result = await copy({ source, target });
      expect(result).toMatchObject({ manifests: { total: 1 }, referrers: { total: 1 } });
      expect(await crane("digest", target)).toBe(await crane("digest", source));
      expect(await crane("validate", "--remote", target)).toMatch(/^PASS/);
      expect(await tree(target)).toEqual(await tree(source));
      expect((await verify({ target })).problems).toEqual([]);
    },
  );

  test.each(pairs)(
    "from $from to $to, by regctl, leaves us nothing to do, and the other way round",
    async ({ from, to }) => {
      const source = at(from, "from/tree:v1");
      const [ours, theirs] = [at(to, `ours/${from}:v1`), at(to, `theirs/${from}:v1`)];
      await regctl("image", "copy", "--referrers", "--digest-tags", source, theirs);
      expect(await copy({ source, target: theirs })).toMatchObject({
        manifests: { total: 5, moved: 0 },
        blobs: { total: 0 },
      });
      await copy({ source, target: ours });
      expect(await tree(ours)).toEqual(await tree(theirs));
      expect(await crane("manifest", ours)).toBe(await crane("manifest", source));
    },
  );

  test.each(kinds)(
    "from %s to a folder is read by skopeo, and comes back as it was, by regctl too",
    async (kind) => {
      const layout = join(folder.path, `carried-${kind}`);
      const source = at(kind, "from/tree:v1");
      await copy({ source, target: `oci:${layout}` });
      const raw = await run(toolPath("skopeo"), "inspect", "--raw", `oci:${layout}:v1`);
      expect(raw).toBe(await crane("manifest", source));
      const back = at(kind, "back/tree");
      const { copies } = await copy({ source: `oci:${layout}:v1`, target: back });
      expect(copies).toMatchObject([{ digest: await crane("digest", source), tag: "v1" }]);
      expect(await tree(`${back}:v1`)).toEqual(await tree(source));
      const byRegctl = at(kind, "regctl/tree:v1");
      await regctl("image", "copy", `ocidir://${layout}:v1`, byRegctl);
      expect(await crane("digest", byRegctl)).toBe(await crane("digest", source));
      await using from = await openRepository(at(kind, "from/tree"));
      await using again = await openRepository(back);
      const top = await from.repository.fetchManifest("v1");
      const all = [top.descriptor, ...(await from.repository.listReferrers(top.descriptor.digest))];
      expect(await readManifests(again.repository, all)).toEqual(
        await readManifests(from.repository, all),
      );
    },
  );

  test("of a folder that regctl filled finds the referrers that it keeps by tag", async () => {
    const layout = join(folder.path, "by-regctl");
    const source = at("v3", "from/tree:v1");
    const flags = ["--referrers", "--digest-tags"];
    await regctl("image", "copy", ...flags, source, `ocidir://${layout}:v1`);
    const target = at("v3", "from-regctl/tree");
    const result = await copy({ source: `oci:${layout}:v1`, target });
    expect(result).toMatchObject({ manifests: { total: 5 }, referrers: { total: 5 } });
    expect(await tree(`${target}:v1`)).toEqual(await tree(source));
  });

  function at(kind: RegistryKind, name: string): string {
    return `${registries[kind].address}/${name}`;
  }

  /** What hangs on a reference, as regctl draws it, without where it is and in which order. */
  async function tree(reference: string): Promise<string[]> {
    const drawn = await regctl("artifact", "tree", "--digest-tags", reference);
    const lines = drawn.split("\n").flatMap((line) => /sha256[:-][0-9a-f]{64}.*/.exec(line) ?? []);
    expect(lines.length).toBeGreaterThan(1);
    return lines.sort();
  }

  async function crane(...args: string[]): Promise<string> {
    return runPeer("crane", args, { folder: folder.path });
  }

  async function regctl(...args: string[]): Promise<string> {
    const hosts = kinds.map((kind) => registries[kind].address);
    return runPeer("regctl", args, { folder: folder.path, hosts });
  }
});

async function run(program: string, ...args: string[]): Promise<string> {
  const { execFile } = await import("node:child_process");
  const { promisify } = await import("node:util");
  return (await promisify(execFile)(program, args)).stdout.trim();
}
