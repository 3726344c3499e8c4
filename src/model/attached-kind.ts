import type { ContentDescriptor } from "../oci/descriptor.ts";

const bundle = /^application\/vnd\.dev\.sigstore\.bundle\b/;
const bundlePredicate = "dev.sigstore.bundle.predicateType";
const bundleContent = "dev.sigstore.bundle.content";
/** What a bundle says where it signs the manifest and states nothing else. */
const signPredicate = "https://sigstore.dev/cosign/sign/v1";

const kinds: readonly (readonly [RegExp, string])[] = [
  [/^application\/vnd\.dev\.cosign\.artifact\.sig\./, "cosign signature"],
  [/^application\/vnd\.dev\.cosign\.artifact\.sbom\./, "SBOM (cosign)"],
  [/^application\/vnd\.dev\.cosign\.artifact\.att\./, "attestation (cosign)"],
  [/^application\/vnd\.cncf\.notary\.signature$/, "Notary signature"],
  [/^(?:application|text)\/(?:vnd\.)?(?:spdx|cyclonedx|syft)\b/, "SBOM"],
  [/^application\/vnd\.(?:in-toto|dsse)\b/, "attestation"],
];

const tagKinds: readonly (readonly [string, string])[] = [
  [".sig", "cosign signature (tag)"],
  [".att", "cosign attestation (tag)"],
  [".sbom", "cosign SBOM (tag)"],
];

/** What something attached is by its own account, in plain words; else its artifact type. */
export function attachedKind(
  { artifactType, annotations, mediaType }: ContentDescriptor,
  tag: string | undefined,
): string {
  const kept = tagKinds.find(([suffix]) => tag?.endsWith(suffix));
  if (kept !== undefined) return kept[1];
  const type = artifactType ?? mediaType;
  if (!bundle.test(type)) return kinds.find(([pattern]) => pattern.test(type))?.[1] ?? type;
  const predicate = annotations?.[bundlePredicate];
  const signs = predicate === signPredicate || annotations?.[bundleContent] === "message-signature";
  if (signs) return "cosign signature (bundle)";
  return predicate === undefined ? "sigstore bundle" : `attestation (bundle): ${predicate}`;
}
