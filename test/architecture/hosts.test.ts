import { expect, test } from "vitest";
import { readTree } from "./tree.ts";

/** Names that never leave the machine or are kept for documentation (RFC 2606, RFC 6761). */
const harmless = /(?:^|\.)(?:example\.(?:com|org|net)|example|test|invalid|localhost)$/;
/** `host/repository:tag` or `host/repository@sha256:...`, not inside a longer path or word. */
const fullReference =
  /(?<![\w./@:-])((?:[a-z0-9-]+\.)+[a-z]{2,})(?::\d+)?\/[a-z0-9._/-]+(?::(?!\d+(?:\D|$))\w[\w.-]*|@sha256:)/g;

/** A document or test that names a real registry would send someone's request there. */
function realHosts(text: string): string[] {
  const hosts = [...text.matchAll(fullReference)].map(([, host = ""]) => host);
  return hosts.filter((host) => !harmless.test(host));
}

test("no reference in the tree names a registry on the internet", async () => {
  const code = ["src", "csi", "test", "examples", "deploy", "docs"].map(
    (folder) => `${folder}/**/*`,
  );
  const files = await readTree(...code, "*.md");
  const found = [...files].flatMap(([path, text]) => {
    if (path === "test/architecture/hosts.test.ts") return [];
    return realHosts(text).map((host) => `${path}: ${host}`);
  });
  expect(files.size).toBeGreaterThan(0);
  expect(found).toEqual([]);
});

test.each([
  ["push it to cr.ballast.dev/team/model:v1", ["cr.ballast.dev"]],
  ["`models.ballast.dev:443/team/model@sha256:0`", ["models.ballast.dev"]],
  ["registry.example.com/team/model:v1 127.0.0.1:5000/a:b localhost:5000/a/b:c", []],
  ["go install github.com/google/go-containerregistry/cmd/crane@v0.22.1", []],
  ["see https://github.com/opencontainers/image-spec/blob/main/manifest.md#x", []],
  ["application/vnd.ballast.model.v1+json src/core/errors.ts:12 models.ballast.dev/0a=ready", []],
])("in %j it finds %j", (text, hosts) => {
  expect(realHosts(text)).toEqual(hosts);
});
