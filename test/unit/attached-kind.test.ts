import { describe, expect, test } from "vitest";
import { digestOf } from "../../src/core/digest.ts";
import { attachedKind } from "../../src/model/attached-kind.ts";
import { referrersTag } from "../../src/oci/referrers-tag.ts";

const bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
const predicate = (predicateType: string) => ({
  "dev.sigstore.bundle.content": "dsse-envelope",
  "dev.sigstore.bundle.predicateType": predicateType,
});
const digest = digestOf("x");

describe("what is attached", () => {
  test.each([
    [bundle, predicate("https://sigstore.dev/cosign/sign/v1"), "cosign signature (bundle)"],
    [bundle, { "dev.sigstore.bundle.content": "message-signature" }, "cosign signature (bundle)"],
    [
      bundle,
      predicate("https://slsa.dev/provenance/v1"),
      "attestation (bundle): https://slsa.dev/provenance/v1",
    ],
    [bundle, undefined, "sigstore bundle"],
    ["application/vnd.dev.cosign.artifact.sig.v1+json", undefined, "cosign signature"],
    ["application/vnd.dev.cosign.artifact.sbom.v1+json", undefined, "SBOM (cosign)"],
    ["application/vnd.cncf.notary.signature", undefined, "Notary signature"],
    ["application/spdx+json", undefined, "SBOM"],
    ["application/vnd.cyclonedx+json", undefined, "SBOM"],
    ["text/spdx", undefined, "SBOM"],
    ["application/vnd.in-toto+json", undefined, "attestation"],
    ["application/vnd.example.thing", undefined, "application/vnd.example.thing"],
  ])("with the type %s and %j is called %j", (artifactType, annotations, kind) => {
    const mediaType = "application/vnd.oci.image.manifest.v1+json";
    const found = { mediaType, digest, size: 1, artifactType, annotations };
    expect(attachedKind(found, undefined)).toBe(kind);
  });

  test.each([
    [".sig", "cosign signature (tag)"],
    [".att", "cosign attestation (tag)"],
    [".sbom", "cosign SBOM (tag)"],
  ])("under a tag with %s is called %j, whatever its type", (suffix, kind) => {
    const found = { mediaType: "text/plain", digest, size: 1 };
    expect(attachedKind(found, `${referrersTag(digest)}${suffix}`)).toBe(kind);
  });
});
