import { contentDigestOf, digestAlgorithm, isContentDigest } from "../../core/digest.ts";
import { type ErrorCode, ModelError } from "../../core/errors.ts";
import { parseManifest } from "../../oci/manifest.ts";
import { header } from "../client/http/answer.ts";
import { askManifest } from "./deeds.ts";
import { contentOf, type Ground } from "./ground.ts";
import { askBlob } from "./probes/blobs.ts";
import { describe } from "./said.ts";

/** Larger blobs are not read whole for a check. */
const maxBlobBytes = 8_388_608;

/**
 * Finds what a check that only reads works with: a manifest, and the smallest of its blobs that has
 * room for ranges. Rejects with NOT_FOUND where the manifest is not there, and where it cannot be
 * read or is not what it should be.
 */
export async function readSample(ground: Ground, reference: string): Promise<void> {
  const { site } = ground;
  const { session } = site.way;
  const what = `manifest ${reference} of ${session.host}/${session.repository}`;
  const said = await askManifest(ground, reference);
  if (said.status !== 200)
    throw new ModelError(
      said.status === 404 ? "NOT_FOUND" : "REGISTRY_PROTOCOL",
      `${what}: ${session.origin.host} answered ${describe(said)}`,
      { hint: "name a tag or a digest that is there: --read-only HOST/REPO:TAG" },
    );
  const manifest = parseManifest(said.body, what);
  const isDigestNamed = isContentDigest(reference);
  const algorithm = isDigestNamed ? digestAlgorithm(reference) : "sha256";
  const mediaType = header(said, "content-type")?.split(";")[0]?.trim() ?? "";
  site.manifest = { ...contentOf(said.body, algorithm), mediaType };
  site.tag = isDigestNamed ? undefined : reference;
  const candidates = [manifest.config, ...manifest.layers]
    .filter(({ size }) => size <= maxBlobBytes)
    .sort((one, other) => one.size - other.size);
  const { digest } = candidates.find(({ size }) => size >= 200) ?? candidates.at(-1) ?? {};
  if (digest === undefined) return;
  const blob = await askBlob(ground, digest);
  const refuse = (code: ErrorCode, why: string) =>
    new ModelError(code, `blob ${digest} of ${session.host}/${session.repository}: ${why}`);
  if (blob.status !== 200)
    throw refuse("REGISTRY_PROTOCOL", `${session.origin.host} answered ${describe(blob)}`);
  if (contentDigestOf(blob.body, "sha256") !== digest)
    throw refuse("DIGEST_MISMATCH", `${session.origin.host} sent other bytes`);
  site.blob = { digest, bytes: blob.body };
}
