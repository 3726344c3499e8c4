import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { copy, pull, verify } from "../../src/index.ts";
import type { Repository } from "../../src/oci/repository.ts";
import { openRepository, putTree, readManifests, type Tree } from "../support/artifacts.ts";
import { openWorkplace, readTree, type Workplace } from "../support/workplace.ts";

let place: Workplace;

beforeEach(async () => {
  place = await openWorkplace();
});
afterEach(() => place[Symbol.asyncDispose]());

/** Both kinds of places, by name. */
const kinds = ["registry", "folder"] as const;
const directions = kinds.flatMap((from) => kinds.map((to) => ({ from, to })));

function at(kind: (typeof kinds)[number], name: string): string {
  return kind === "registry" ? place.ref(`team/${name}`) : `oci:${place.inside(name)}`;
}

/** Fails unless all of a tree is at a repository, byte for byte, and found as it was. */
async function expectWhole(from: Repository, to: Repository, tree: Tree, tag: string) {
  expect(await readManifests(to, tree.all)).toEqual(await readManifests(from, tree.all));
  expect((await to.resolveManifest(tag))?.digest).toBe(tree.top.digest);
  expect((await to.resolveManifest(tree.signature.tag))?.digest).toBe(tree.signature.digest);
  for (const { digest } of tree.all) {
    const listed = async (side: Repository) =>
      (await side.listReferrers(digest)).map((each) => each.digest).sort();
    expect(await listed(to)).toEqual(await listed(from));
  }
}

describe("a copy", () => {
  test.each(directions)(
    "from $from to $to brings an index, all it names and all that refers to it, as they are",
    async ({ from, to }) => {
      await using source = await openRepository(at(from, "source"));
      const tree = await putTree(source.repository, "v1");
      const result = await copy({ source: `${at(from, "source")}:v1`, target: at(to, "target") });
      await using target = await openRepository(at(to, "target"));
      await expectWhole(source.repository, target.repository, tree, "v1");
      expect(result).toMatchObject({
        copies: [{ digest: tree.top.digest, tag: "v1" }],
        manifests: { total: 5, moved: 5 },
        referrers: { total: 5, moved: 5 },
        warnings: [],
        dryRun: false,
      });
      const { moved, mounted, total } = result.blobs;
      expect({ sent: moved + mounted, isMounted: mounted > 0 }).toEqual({
        sent: total,
        isMounted: from === to,
      });

      const again = await copy({ source: `${at(from, "source")}:v1`, target: at(to, "target") });
      expect(again).toMatchObject({
        manifests: { total: 5, moved: 0 },
        referrers: { total: 5, moved: 0 },
        blobs: { total: 0 },
      });
    },
  );

  test("out to a folder, carried, and in again gives a model that verifies, byte for byte", async () => {
    const model = await place.writeModel();
    const pushed = await place.push(model, "team/model:v1");
    await copy({ source: place.ref("team/model:v1"), target: `oci:${place.inside("out")}` });
    const { rename } = await import("node:fs/promises");
    await rename(place.inside("out"), place.inside("carried"));
    const source = `oci:${place.inside("carried")}:v1`;
    const { copies } = await copy({ source, target: place.ref("lab/model") });
    expect(copies).toMatchObject([{ digest: pushed.digest, tag: "v1" }]);
    expect((await verify({ target: place.ref("lab/model:v1") })).problems).toEqual([]);
    await pull({ reference: place.ref("lab/model:v1"), output: place.inside("pulled") });
    expect(await readTree(place.inside("pulled"))).toEqual(await readTree(model));
  });
});
