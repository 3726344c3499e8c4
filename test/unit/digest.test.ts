import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  createDigestHash,
  digestFromHex,
  digestHex,
  digestOf,
  isDigest,
  parseDigest,
} from "../../src/core/digest.ts";

const empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

describe("a digest", () => {
  test("is the sha256 of the bytes", () => {
    expect(digestOf("")).toBe(empty);
    expect(digestOf(Buffer.from("abc"))).toBe(
      "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
  });

  test("of a running hash is that of the whole", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array()), (pieces) => {
        const hash = createDigestHash();
        for (const piece of pieces) hash.update(piece);
        const expected = createHash("sha256").update(Buffer.concat(pieces)).digest("hex");
        expect(hash.digest()).toBe(`sha256:${expected}`);
      }),
    );
  });

  test("is parsed and taken apart", () => {
    const digest = parseDigest(empty);
    expect(digestHex(digest)).toBe(empty.slice(7));
    expect(digestFromHex(digestHex(digest))).toBe(digest);
    expect(isDigest(digest)).toBe(true);
  });

  test.each([
    ["", '"" is not a digest'],
    ["sha256", "is not a digest"],
    [empty.toUpperCase(), "is not a digest"],
    [empty.slice(0, -1), "is not a digest"],
    [`${empty}\n`, "is not a digest"],
    [`sha512:${"0".repeat(128)}`, 'digest algorithm "sha512" is not supported'],
    [`md5:${"0".repeat(32)}`, 'digest algorithm "md5" is not supported'],
    ["x".repeat(5000), "is not a digest"],
  ])("%j is refused", (text, message) => {
    expect(isDigest(text)).toBe(false);
    expect(() => parseDigest(text)).toThrow(message);
    expect(() => parseDigest(text)).toThrow(expect.objectContaining({ code: "INVALID_REFERENCE" }));
  });

  test.each([undefined, null, 7, {}, [empty]])("%j is none", (value) => {
    expect(isDigest(value)).toBe(false);
  });

  test("is not made of anything but hex", () => {
    expect(() => digestFromHex("../../etc/passwd")).toThrow("is not a digest");
  });
});
