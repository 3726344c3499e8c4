import { expect, test } from "vitest";
import { contentDigestOf, digestOf } from "../../src/core/digest.ts";
import { readReferrersTag, referrersTag } from "../../src/oci/referrers-tag.ts";

const short = `sha256-${"a".repeat(64)}`;
const long = `sha512-${"b".repeat(64)}`;

test.each([
  [short, { list: short, suffix: undefined }],
  [`${short}.sig`, { list: short, suffix: ".sig" }],
  [`${short}.ours-2`, { list: short, suffix: ".ours-2" }],
  [long, { list: long, suffix: undefined }],
  [`${long}.sbom`, { list: long, suffix: ".sbom" }],
  [`sha256-${"a".repeat(63)}`, undefined],
  [`sha256-${"a".repeat(65)}`, undefined],
  [`sha256-${"g".repeat(64)}`, undefined],
  [`v1-${short}`, undefined],
  [`${short}.`, undefined],
  ["sha256-notes", undefined],
  ["v1", undefined],
])("the tag %s is read as %j", (tag, expected) => {
  expect(readReferrersTag(tag)).toEqual(expected);
});

test("the tags of both kinds of digests are read again, those of sha512 cut to what a tag holds", () => {
  const bytes = Buffer.from("subject");
  for (const digest of [digestOf(bytes), contentDigestOf(bytes, "sha512")]) {
    const tag = referrersTag(digest);
    expect(tag).toMatch(/^sha(?:256|512)-[0-9a-f]{64}$/);
    expect(readReferrersTag(tag)?.list).toBe(tag);
  }
});
