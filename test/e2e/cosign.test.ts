import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { copy, inspect, listTags, push, removeFromRepository } from "../../src/index.ts";
import { type AnyRegistry, type RegistryKind, startAnyRegistry } from "../support/any-registry.ts";
import { runBallast } from "../support/ballast-command.ts";
import { type Cosign, openCosign, type SignatureForm } from "../support/cosign.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";
import { toolsMissing } from "../support/programs.ts";
import { writeRandomModel } from "../support/random-model.ts";

const kinds = ["v3", "v2", "embedded"] as const;
const forms: readonly SignatureForm[] = ["bundle", "tag"];
const words = { bundle: "cosign signature (bundle)", tag: "cosign signature (tag)" };

describe.skipIf(toolsMissing("cosign", "registry", "docker-registry"))("cosign", () => {
  let folder: TemporaryFolder;
  let cosign: Cosign;
  let other: Cosign;
  let model: string;
  const registries = new Map<RegistryKind, AnyRegistry>();
  const repositoryAt = (kind: RegistryKind, name: string) =>
    `${registries.get(kind)?.address}/${name}`;

  beforeAll(async () => {
    folder = await makeTemporaryFolder();
    const openWithKeys = async (name: string) => {
      await mkdir(join(folder.path, name));
      return openCosign(join(folder.path, name));
    };
    cosign = await openWithKeys("keys");
    other = await openWithKeys("other-keys");
    model = join(folder.path, "model");
    await writeRandomModel(model, ["a", "b"]);
    for (const kind of kinds) {
      const root = join(folder.path, kind);
      registries.set(kind, await startAnyRegistry({ kind, root }));
    }
  }, 60_000);
  afterAll(async () => {
    for (const registry of registries.values()) await registry[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  /** Pushes a model and signs it. */
  async function pushSigned(repository: string, form: SignatureForm) {
    const { name, digest } = await push({ source: model, reference: `${repository}:v1` });
    await cosign.sign(name, form);
    return { name, digest };
  }

  async function expectSigned(name: string, digest: string, form: SignatureForm): Promise<void> {
    const claims = await cosign.verify(name, form);
    const signed = claims.map(({ critical }) => critical.image["docker-manifest-digest"]);
    expect(signed).toEqual([digest]);
  }

  describe.each(kinds)("with %s", (kind) => {
    test.each(forms)("signs a model and verifies it: %s", async (form) => {
      const { name, digest } = await pushSigned(repositoryAt(kind, `team/${form}`), form);
      await expectSigned(name, digest, form);
      await expect(other.verify(name, form)).rejects.toThrow(
        /no matching (?:attestations|signatures)/,
      );
      const { attached } = await inspect({ reference: name });
      expect(attached).toMatchObject([
        {
          kind: words[form],
          tag: form === "tag" ? `${digest.replace(":", "-")}.sig` : undefined,
          created: form === "tag" ? undefined : (expect.stringMatching(/^20\d\d-/) as string),
        },
      ]);
      const shown = await runBallast(["inspect", name], { home: folder.path });
      expect(shown.out).toContain("ATTACHED (NOT VERIFIED)");
      expect(shown.out).toContain(words[form]);
    });

    test("does not sign what another model has", async () => {
      const repository = repositoryAt(kind, "team/unsigned");
      const { name } = await push({
        source: join(model, "tokenizer"),
        reference: `${repository}:v1`,
      });
      expect((await inspect({ reference: name })).attached).toEqual([]);
      await expect(cosign.verify(name, "bundle")).rejects.toThrow(/no signatures|not found/i);
    });

    test("leaves no signature behind when the model goes with its referrers", async () => {
      const repository = repositoryAt(kind, "team/removed");
      const { name } = await pushSigned(repository, "bundle");
      await cosign.sign(name, "tag");
      expect((await listTags({ repository })).tags.map(({ tag }) => tag)).toEqual(["v1"]);
      const { removed } = await removeFromRepository({ references: [name], withReferrers: true });
      expect(removed).toHaveLength(3);
      expect((await listTags({ repository, all: true })).tags).toEqual([]);
    });
  });

  describe.each(kinds.map((kind, at) => [kind, kinds[(at + 1) % kinds.length] ?? "v3"] as const))(
    "after a copy from %s to %s",
    (from, to) => {
      test.each(forms)(
        "the signature verifies, straight and through a folder: %s",
        async (form) => {
          const source = repositoryAt(from, `copied/${form}`);
          const { digest } = await pushSigned(source, form);
          const straight = repositoryAt(to, `straight/${form}`);
          await copy({ source: `${source}:v1`, target: `${straight}:v1` });
          await expectSigned(`${straight}@${digest}`, digest, form);
          const layout = join(folder.path, `layout-${from}-${form}`);
          await copy({ source: `${source}:v1`, target: `oci:${layout}:v1` });
          const kept = await inspect({ reference: `oci:${layout}:v1` });
          expect(kept.attached?.map(({ kind }) => kind)).toEqual([words[form]]);
          expect(await readFile(join(layout, "index.json"), "utf8")).toContain(digest);
          const through = repositoryAt(to, `through/${form}`);
          await copy({ source: `oci:${layout}:v1`, target: `${through}:v1` });
          await expectSigned(`${through}@${digest}`, digest, form);
        },
      );
    },
  );
});
