import { afterEach, beforeEach, expect, test } from "vitest";
import { copy } from "../../src/index.ts";
import { openRepository, putArtifact, putIndex, readManifests } from "../support/artifacts.ts";
import { openWorkplace, type Workplace } from "../support/workplace.ts";

let place: Workplace;

beforeEach(async () => {
  place = await openWorkplace();
});
afterEach(() => place[Symbol.asyncDispose]());

const kinds = ["registry", "folder"] as const;

test.each(kinds.flatMap((from) => kinds.map((to) => ({ from, to }))))(
  "from $from to $to a copy keeps sha512 digests, of children, referrers and by name",
  async ({ from, to }) => {
    const at = (kind: (typeof kinds)[number], name: string) =>
      kind === "registry" ? place.ref(`team/${name}`) : `oci:${place.inside(name)}`;
    await using source = await openRepository(at(from, "from"));
    const child = await putArtifact(source.repository, "long", { algorithm: "sha512" });
    const top = await putIndex(source.repository, [child], { as: "v1" });
    const signed = await putArtifact(source.repository, "signature", { subject: child });
    const result = await copy({ source: `${at(from, "from")}:v1`, target: at(to, "to") });
    expect(result).toMatchObject({ manifests: { total: 2 }, referrers: { total: 1 } });
    await using target = await openRepository(at(to, "to"));
    const all = [child, top, signed];
    expect(await readManifests(target.repository, all)).toEqual(
      await readManifests(source.repository, all),
    );
    expect(await target.repository.listReferrers(child.digest)).toMatchObject([
      { digest: signed.digest },
    ]);
    const alone = await copy({
      source: `${at(from, "from")}@${child.digest}`,
      target: at(to, "alone"),
    });
    expect(alone.copies).toMatchObject([{ digest: child.digest, tag: undefined }]);
  },
);
