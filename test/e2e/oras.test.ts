import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { inspect, push, verify } from "../../src/index.ts";
import { type AnyRegistry, login, startAnyRegistry } from "../support/any-registry.ts";
import { hashFiles } from "../support/file-digests.ts";
import { makeTemporaryFolder, type TemporaryFolder, writeTree } from "../support/models.ts";
import { runOras } from "../support/peer-programs.ts";
import { toolsMissing } from "../support/programs.ts";
import { writeRandomModel } from "../support/random-model.ts";

const tools = ["oras", "registry", "docker-registry"] as const;

describe.skipIf(toolsMissing(...tools))("the library of ORAS", () => {
  let folder: TemporaryFolder;
  let ours: AnyRegistry;
  let others: readonly AnyRegistry[];
  const inside = (name: string) => join(folder.path, name);
  const oras = (...args: string[]) => runOras(args, login);

  beforeAll(async () => {
    folder = await makeTemporaryFolder();
    const start = (kind: "embedded" | "v3" | "v2") =>
      startAnyRegistry({ kind, root: inside(kind), auth: "htpasswd" });
    [ours, ...others] = await Promise.all([start("embedded"), start("v3"), start("v2")]);
    await writeTree(folder.path, {
      "files/weights.bin": "weights",
      "files/empty.bin": "",
      "sbom.json": "{}",
      "notes.txt": "notes",
    });
  });
  afterAll(async () => {
    for (const registry of [ours, ...others]) await registry[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
  });

  test("is refused without a login, and with a wrong one", async () => {
    const asked = ["discover", `${ours.address}/team/none:v1`];
    await expect(runOras(asked)).rejects.toThrow(/credential not found/);
    await expect(runOras(asked, { ...login, password: "wrong" })).rejects.toThrow(/401/);
  });

  test("pushes files to the embedded registry, and pulls them", async () => {
    const reference = `${ours.address}/team/files:v1`;
    await oras("push", reference, inside("files/weights.bin"), inside("files/empty.bin"));
    await oras("pull", reference, inside("pulled"));
    expect(await hashFiles(inside("pulled"))).toEqual(await hashFiles(inside("files")));
  });

  test("finds what refers to a manifest there, until that is deleted", async () => {
    const reference = `${ours.address}/team/referred:v1`;
    await oras("push", reference, inside("files/weights.bin"));
    const sbom = await oras(
      "attach",
      reference,
      "application/vnd.example.sbom",
      inside("sbom.json"),
    );
    const notes = await oras("attach", reference, "text/vnd.example", inside("notes.txt"));
    const found = async () => (await oras("discover", reference)).split("\n").sort();
    expect(await found()).toEqual(
      [`${sbom} application/vnd.example.sbom`, `${notes} text/vnd.example`].sort(),
    );
    await oras("delete", `${ours.address}/team/referred@${sbom}`);
    expect(await found()).toEqual([`${notes} text/vnd.example`]);
  });

  test.each([
    ["distribution 3", 0],
    ["docker-registry 2.8", 1],
  ] as const)(
    "carries a model and its referrers from there to %s, a folder and back",
    async (_, at) => {
      const source = inside(`model-${at}`);
      await writeRandomModel(source, ["a", "b"]);
      const reference = `${ours.address}/team/model-${at}:v1`;
      const options = { credentials: login, plainHttp: true };
      const pushed = await push({ source, reference, ...options });
      await oras("attach", reference, "application/vnd.example.sbom", inside("sbom.json"));
      const attached = await oras("discover", reference);
      expect(attached).toMatch(/^sha256:[0-9a-f]{64} application\/vnd\.example\.sbom$/);

      const elsewhere = `${others[at]?.address}/team/copy:v1`;
      const layout = `oci:${inside(`layout-${at}`)}:v1`;
      const again = `${ours.address}/again/model-${at}:v1`;
      for (const [from, to] of [
        [reference, elsewhere],
        [elsewhere, layout],
        [layout, again],
      ] as const)
        expect(await oras("copy", from, to)).toBe(pushed.digest);
      for (const place of [elsewhere, again]) expect(await oras("discover", place)).toBe(attached);
      expect((await inspect({ reference: layout })).digest).toBe(pushed.digest);
      for (const place of [elsewhere, layout, again])
        expect((await verify({ target: place, ...options })).problems).toEqual([]);
    },
  );
});
