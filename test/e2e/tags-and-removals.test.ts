import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { listTags, push, removeFromRepository, tag } from "../../src/index.ts";
import {
  type AnyRegistry,
  login as credentials,
  startAnyRegistry,
} from "../support/any-registry.ts";
import { makeTemporaryFolder, type TemporaryFolder } from "../support/models.ts";
import { toolsMissing } from "../support/programs.ts";
import { writeRandomModel } from "../support/random-model.ts";

const setups = (["v3", "v2", "embedded"] as const).flatMap((kind) =>
  (["none", "htpasswd", "token"] as const)
    .filter((auth) => kind !== "embedded" || auth !== "token")
    .map((auth) => ({ kind, auth })),
);

let folder: TemporaryFolder;

beforeEach(async () => {
  folder = await makeTemporaryFolder();
});
afterEach(async () => folder[Symbol.asyncDispose]());

describe.skipIf(toolsMissing("registry", "docker-registry"))("a real registry", () => {
  test.each(setups)(
    "$kind, auth $auth: tags are set, listed and removed",
    async ({ kind, auth }) => {
      await using registry: AnyRegistry = await startAnyRegistry({
        kind,
        auth,
        root: join(folder.path, "root"),
      });
      const access = auth === "none" ? {} : { credentials };
      const repository = `${registry.address}/team/model`;
      const source = join(folder.path, "model");
      await writeRandomModel(source, ["a"]);
      const { name, digest } = await push({ source, reference: `${repository}:v1`, ...access });
      await tag({ reference: `${repository}:v1`, tags: ["v10", "v2", "latest"], ...access });
      const other = { source: join(source, "tokenizer"), reference: `${repository}:other` };
      await push({ ...other, base: false, ...access });
      const listed = await listTags({ repository, details: true, ...access });
      expect(listed.tags.map((each) => each.tag)).toEqual(["latest", "other", "v1", "v2", "v10"]);
      expect(listed.tags.filter((each) => each.digest === digest)).toHaveLength(4);
      const names = async () =>
        (await listTags({ repository, ...access })).tags.map((each) => each.tag);

      const byTag = removeFromRepository({ references: [`${repository}:v10`], ...access });
      // docker-registry 2.8 removes manifests only.
      if (kind === "v2")
        await expect(byTag).rejects.toMatchObject({ code: "REGISTRY_UNSUPPORTED" });
      else expect((await byTag).removed).toEqual([`${repository}:v10`]);
      expect(await names()).toContain("v1");

      const removal = await removeFromRepository({ references: [name], ...access });
      expect(removal.repositories[0]?.freeableBytes).toBeGreaterThan(9_000_000);
      expect(removal.removed).toEqual([name]);
      expect(await names()).toEqual(["other"]);
      await expect(removeFromRepository({ references: [name], ...access })).rejects.toMatchObject({
        code: "NOT_FOUND",
      });
    },
  );
});
