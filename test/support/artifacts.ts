import {
  type ContentDigest,
  contentDigestOf,
  type DigestAlgorithm,
} from "../../src/core/digest.ts";
import { parseReference } from "../../src/core/reference.ts";
import { type Connection, connect } from "../../src/model/connection.ts";
import type { ContentDescriptor } from "../../src/oci/descriptor.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import type { Repository } from "../../src/oci/repository.ts";
import { seededBytes } from "./workplace.ts";

export interface ArtifactOptions {
  /** A tag, or by default its digest. */
  readonly as?: string | undefined;
  /** Seeds of layers of 1000 bytes each; what is the same is the same blob. */
  readonly layers?: readonly string[] | undefined;
  readonly subject?: ContentDescriptor | undefined;
  readonly artifactType?: string | undefined;
  readonly algorithm?: DigestAlgorithm | undefined;
  /** Bytes of each layer; default 1000. */
  readonly layerBytes?: number | undefined;
  /** A layer that is named, with where else to find it, and not put. */
  readonly foreign?: string | undefined;
}

const layerType = "application/vnd.oci.image.layer.v1.tar";

/** Puts an image manifest with a config and layers of its own. */
export async function putArtifact(
  repository: Repository,
  seed: string,
  options: ArtifactOptions = {},
): Promise<ContentDescriptor> {
  const { layers = [`${seed} layer`], subject, artifactType, algorithm, foreign } = options;
  const put = async (mediaType: string, bytes: Buffer): Promise<ContentDescriptor> => {
    const blob = describe(mediaType, bytes);
    await repository.putBlob(blob, () => [bytes]);
    return blob;
  };
  const config = await put(
    "application/vnd.oci.image.config.v1+json",
    Buffer.from(JSON.stringify({ seed })),
  );
  const named: ContentDescriptor[] = [];
  for (const layer of layers)
    named.push(await put(layerType, seededBytes(layer, options.layerBytes ?? 1000)));
  const elsewhere = foreign && {
    ...describe(layerType, seededBytes(foreign, 1000)),
    urls: ["https://layers.example.com/one"],
  };
  const manifest = {
    schemaVersion: 2,
    mediaType: mediaTypes.imageManifest,
    artifactType,
    config,
    layers: [...named, ...(elsewhere ? [elsewhere] : [])],
    subject: subject && bare(subject),
  };
  return putDocument(repository, mediaTypes.imageManifest, manifest, { as: options.as, algorithm });
}

/** Puts an image index of manifests that are there. */
export async function putIndex(
  repository: Repository,
  manifests: readonly (ContentDescriptor & { readonly platform?: object })[],
  { as, subject }: Pick<ArtifactOptions, "as" | "subject"> = {},
): Promise<ContentDescriptor> {
  const index = {
    schemaVersion: 2,
    mediaType: mediaTypes.imageIndex,
    manifests: manifests.map((each) => ({
      ...bare(each),
      ...("platform" in each ? { platform: each.platform } : {}),
    })),
    subject: subject && bare(subject),
  };
  return putDocument(repository, mediaTypes.imageIndex, index, { as });
}

/** A source with an index in an index, and what hangs on each. */
export interface Tree {
  readonly top: ContentDescriptor;
  /** All manifests that hang together, `top` among them. */
  readonly all: readonly ContentDescriptor[];
  readonly referrers: readonly ContentDescriptor[];
  /** cosign's tag and what it names. */
  readonly signature: { readonly tag: string; readonly digest: ContentDigest };
}

/** Puts a tree: two images and an index of a third, a signature, an SBOM with its own, cosign's tag. */
export async function putTree(repository: Repository, tag: string, seed = "tree"): Promise<Tree> {
  const amd64 = await putArtifact(repository, `${seed} amd64`, { layers: [`${seed} shared`, "a"] });
  const arm64 = await putArtifact(repository, `${seed} arm64`, { layers: [`${seed} shared`, "b"] });
  const deep = await putArtifact(repository, `${seed} deep`);
  const inner = await putIndex(repository, [deep]);
  const top = await putIndex(
    repository,
    [
      { ...amd64, platform: { os: "linux", architecture: "amd64" } },
      { ...arm64, platform: { os: "linux", architecture: "arm64", variant: "v8" } },
      inner,
    ],
    { as: tag },
  );
  const attach = (name: string, subject: ContentDescriptor) =>
    putArtifact(repository, `${seed} ${name}`, { subject, artifactType: `example/${name}` });
  const signed = await attach("signature", top);
  const sbom = await attach("sbom", amd64);
  const signedSbom = await attach("sbom-signature", sbom);
  const deepNote = await attach("note", deep);
  const signatureTag = `${arm64.digest.replace(":", "-")}.sig`;
  const cosign = await putArtifact(repository, `${seed} cosign`, { as: signatureTag });
  const referrers = [signed, sbom, signedSbom, deepNote];
  return {
    top,
    all: [amd64, arm64, deep, inner, top, ...referrers, cosign],
    referrers,
    signature: { tag: signatureTag, digest: cosign.digest },
  };
}

/** Opens a repository to write to, by reference. */
export function openRepository(reference: string): Promise<Connection> {
  return connect(parseReference(reference), { writes: true });
}

/** Every manifest of `all` with its bytes, as a repository gives them. Rejects where one is missing. */
export async function readManifests(
  repository: Repository,
  all: readonly ContentDescriptor[],
): Promise<Record<string, string>> {
  const read: Record<string, string> = {};
  for (const { digest } of all)
    read[digest] = (await repository.fetchManifest(digest)).bytes.toString();
  return read;
}

function bare({ mediaType, digest, size }: ContentDescriptor): ContentDescriptor {
  return { mediaType, digest, size };
}

function describe(
  mediaType: string,
  bytes: Buffer,
  algorithm: DigestAlgorithm = "sha256",
): ContentDescriptor {
  return { mediaType, digest: contentDigestOf(bytes, algorithm), size: bytes.byteLength };
}

async function putDocument(
  repository: Repository,
  mediaType: string,
  document: object,
  { as, algorithm }: Pick<ArtifactOptions, "as" | "algorithm">,
): Promise<ContentDescriptor> {
  const bytes = Buffer.from(JSON.stringify(document));
  const descriptor = describe(mediaType, bytes, algorithm);
  await repository.putManifest(as ?? descriptor.digest, { mediaType, bytes });
  return descriptor;
}
