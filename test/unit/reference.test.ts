import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  formatReference,
  isRepository,
  isTag,
  parseReference,
  repositoryName,
} from "../../src/core/reference.ts";

const digest = `sha256:${"0".repeat(64)}`;

describe("a reference", () => {
  test.each([
    ["registry.example.com/team/model:v1", "registry.example.com", "team/model", "v1", undefined],
    ["registry.example.com/m", "registry.example.com", "m", undefined, undefined],
    ["localhost/m:v1", "localhost", "m", "v1", undefined],
    ["127.0.0.1:5000/a/b/c:v1", "127.0.0.1:5000", "a/b/c", "v1", undefined],
    ["[::1]:5000/a:1", "[::1]:5000", "a", "1", undefined],
    [`registry.example.com/m@${digest}`, "registry.example.com", "m", undefined, digest],
    [`registry.example.com/m:v1@${digest}`, "registry.example.com", "m", "v1", digest],
    ["host:443/a__b/c-d.e:_X.y-z", "host:443", "a__b/c-d.e", "_X.y-z", undefined],
  ])("%s names a model in a registry", (text, host, repository, tag, pinned) => {
    const reference = parseReference(text);
    expect(reference).toEqual({ kind: "registry", host, repository, tag, digest: pinned });
    expect(repositoryName(reference)).toBe(`${host}/${repository}`);
  });

  test.each([
    ["oci:dir", "dir", undefined, undefined],
    ["oci:./a/../dir:v1", "dir", "v1", undefined],
    ["oci:/abs/dir", "/abs/dir", undefined, undefined],
    [`oci:dir@${digest}`, "dir", undefined, digest],
    [`oci:dir:v1@${digest}`, "dir", "v1", digest],
    ["oci:a:b/c", "a:b/c", undefined, undefined],
    ["oci:user@host/dir:v1", "user@host/dir", "v1", undefined],
  ])("%s names a model in a layout folder", (text, directory, tag, pinned) => {
    const reference = parseReference(text);
    expect(reference).toEqual({ kind: "layout", directory, tag, digest: pinned });
    expect(repositoryName(reference)).toBe(`oci:${directory}`);
  });

  test.each([
    ["", "expected host[:port]/repository"],
    ["model", "expected host[:port]/repository"],
    ["model:v1", "expected host[:port]/repository"],
    ["/abs/path", "looks like a path"],
    ["./dir", "looks like a path"],
    ["team/model:v1", "registry.example.com/team/model:v1"],
    ["https://registry.example.com/m", "leave out the scheme: registry.example.com/m"],
    ["registry.example.com/Team/m", "is no repository name"],
    ["registry.example.com/", "is no repository name"],
    ["registry.example.com/a//b", "is no repository name"],
    ["registry.example.com/../m", "is no repository name"],
    [`registry.example.com/${"a".repeat(256)}`, "is no repository name"],
    ["registry.example.com/m:", "is no tag"],
    [`registry.example.com/m:${"x".repeat(129)}`, "is no tag"],
    ["registry.example.com:port/m:v1", "is no registry host"],
    ["user:secret@registry.example.com/m:v1", "is no registry host"],
    ["oci:", "an OCI layout is oci:DIR[:tag]"],
    ["oci:a\0b", "an OCI layout is oci:DIR[:tag]"],
  ])("%j is refused with the next step", (text, hint) => {
    expect(() => parseReference(text)).toThrow(
      expect.objectContaining({
        code: "INVALID_REFERENCE",
        hint: expect.stringContaining(hint) as string,
      }),
    );
  });

  test("with a digest of another kind is refused", () => {
    const text = `registry.example.com/m@sha512:${"0".repeat(128)}`;
    expect(() => parseReference(text)).toThrow('digest algorithm "sha512" is not supported');
    expect(() => parseReference("registry.example.com/m@sha256:12")).toThrow("is not a digest");
  });

  test("reads back as it is written", () => {
    const part = fc.stringMatching(/^[a-z0-9]{1,8}([._-][a-z0-9]{1,4})?$/);
    const repository = fc.array(part, { minLength: 1, maxLength: 4 }).map((all) => all.join("/"));
    const tag = fc.option(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,20}$/), {
      nil: undefined,
    });
    const pinned = fc.option(fc.constant(digest), { nil: undefined });
    fc.assert(
      fc.property(
        fc.constantFrom("h.example.com", "localhost:1", "oci"),
        repository,
        tag,
        pinned,
        (host, name, t, d) => {
          const where = host === "oci" ? `oci:${name}` : `${host}/${name}`;
          const text = `${where}${t === undefined ? "" : `:${t}`}${d === undefined ? "" : `@${d}`}`;
          expect(formatReference(parseReference(text))).toBe(text);
        },
      ),
    );
  });

  test.each(["oci:/a:b/.", "oci:/a:b/.:v1", `oci:/a@${digest}/.:v1`, `oci:a:b/.@${digest}`])(
    "to a folder whose name ends like a tag or a digest (%s) reads back too",
    (text) => {
      const reference = parseReference(text);
      expect(reference).toMatchObject({ directory: expect.stringMatching(/[:@][^/]+$/) as string });
      expect(parseReference(formatReference(reference))).toEqual(reference);
    },
  );

  test("is made of tags and repositories as registries take them", () => {
    expect(isTag("v1.0_x-y")).toBe(true);
    expect(isTag(".v1")).toBe(false);
    expect(isTag("")).toBe(false);
    expect(isRepository("a/b")).toBe(true);
    expect(isRepository("a/B")).toBe(false);
    // A pattern that backtracks would take for ever here.
    expect(isRepository(`${"a-".repeat(127)}!`)).toBe(false);
  });
});
