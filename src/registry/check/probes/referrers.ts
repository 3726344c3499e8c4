import { isRecord } from "../../../core/chunk-index.ts";
import { mediaTypes } from "../../../oci/media-types.ts";
import { referrersTag } from "../../../oci/referrers-tag.ts";
import { header } from "../../client/http/answer.ts";
import { makeIndex, makeManifest, putManifest, wantSameManifest } from "../deeds.ts";
import { type Ground, type ManifestContent, makeContent } from "../ground.ts";
import { type Probe, Unmet, yes } from "../probe.ts";
import { type Said, want } from "../said.ts";

const smallBytes = 1500;
const signatureType = "application/vnd.ballast.check.signature";
const noteType = "application/vnd.ballast.check.note";

/** How signatures and the like are found at what they are for. */
export const referrerProbes: readonly Probe[] = [
  {
    id: "referrers",
    title: "the Referrers API lists what names a manifest as its subject",
    needed: "extra",
    writes: { manifestBytes: 2 * smallBytes },
    async run(ground) {
      const { digest } = ground.wantManifest();
      listOf(await ask(ground, digest));
      const { signature, note } = await putReferrers(ground);
      const listed = listOf(await ask(ground, digest));
      for (const each of [signature, note]) wantListed(listed, each);
      return yes;
    },
  },
  {
    id: "referrers-filter",
    title: "referrers of one artifact type",
    needed: "extra",
    writes: { manifestBytes: 2 * smallBytes },
    async run(ground) {
      const { digest } = ground.wantManifest();
      const { signature } = await putReferrers(ground);
      const type = encodeURIComponent(signatureType);
      const said = await ask(ground, `${digest}?artifactType=${type}`);
      const listed = listOf(said);
      wantListed(listed, signature);
      const types = new Set(listed.map((each) => each["artifactType"]));
      if (types.size > 1) return { result: "partly", said: "200 with all types" };
      return header(said, "oci-filters-applied")?.includes("artifactType") === true
        ? yes
        : { result: "partly", said: "200 without OCI-Filters-Applied" };
    },
  },
  {
    id: "referrers-none",
    title: "no referrers are an empty list",
    needed: "extra",
    async run(ground) {
      const listed = listOf(await ask(ground, makeContent(16).digest));
      return listed.length === 0 ? yes : { result: "wrong", said: "200 with referrers of others" };
    },
  },
  {
    id: "referrers-header",
    title: "the push of a referrer is answered with OCI-Subject",
    needed: "extra",
    writes: { manifestBytes: smallBytes },
    async run(ground) {
      const subject = ground.wantManifest();
      const manifest = makeManifest(ground, { subject, artifactType: signatureType });
      const said = await putManifest(ground, manifest.digest, manifest);
      const named = header(said, "oci-subject");
      if (named === undefined) return { result: "no", said: "201 without OCI-Subject" };
      return named === subject.digest
        ? yes
        : { result: "wrong", said: "201 with another OCI-Subject" };
    },
  },
  {
    id: "referrers-early",
    title: "a referrer can come before its subject",
    needed: "extra",
    writes: { manifestBytes: smallBytes },
    async run(ground) {
      const subject = { digest: makeContent(16).digest, size: 16 };
      const manifest = makeManifest(ground, { subject, artifactType: signatureType });
      await putManifest(ground, manifest.digest, manifest);
      await wantSameManifest(ground, manifest.digest, manifest);
      return yes;
    },
  },
  {
    id: "referrers-tag",
    title: "referrers can be listed under a tag instead",
    needed: "extra",
    writes: { manifestBytes: smallBytes, fallbackTag: true },
    async run(ground) {
      const tag = referrersTag(ground.site.absent);
      const index = makeIndex(ground, [ground.wantManifest()]);
      await putManifest(ground, tag, index);
      await wantSameManifest(ground, tag, index);
      return yes;
    },
  },
];

async function putReferrers(
  ground: Ground,
): Promise<{ readonly signature: ManifestContent; readonly note: ManifestContent }> {
  const subject = ground.wantManifest();
  const put = async (artifactType: string) => {
    const manifest = makeManifest(ground, { subject, artifactType });
    await putManifest(ground, manifest.digest, manifest);
    return manifest;
  };
  return { signature: await put(signatureType), note: await put(noteType) };
}

function ask(ground: Ground, digest: string): Promise<Said> {
  return ground.ask({
    method: "GET",
    at: `referrers/${digest}`,
    headers: { accept: mediaTypes.imageIndex },
  });
}

/** The descriptors of a list of referrers; ends the probe where it is none. */
function listOf(said: Said): readonly Record<string, unknown>[] {
  want(said, 200);
  const listed = descriptorsIn(said.body);
  // Some answer with the page of a login.
  if (listed === undefined) throw new Unmet("no", "200 without a list of referrers");
  return listed;
}

function descriptorsIn(body: Buffer): readonly Record<string, unknown>[] | undefined {
  try {
    const root: unknown = JSON.parse(body.toString("utf8"));
    const manifests = isRecord(root) ? root["manifests"] : undefined;
    return Array.isArray(manifests) ? manifests.filter(isRecord) : undefined;
  } catch {
    return undefined;
  }
}

function wantListed(
  listed: readonly Record<string, unknown>[],
  { digest, bytes }: ManifestContent,
): void {
  const found = listed.find((each) => each["digest"] === digest);
  if (found === undefined) throw new Unmet("wrong", "200 without a referrer that is there");
  if (found["size"] !== bytes.byteLength) throw new Unmet("wrong", "200 with another size");
  if (found["artifactType"] === undefined) throw new Unmet("partly", "200 without artifact types");
}
