import { describe, expect, test } from "vitest";
import { createCredentialSource } from "../../src/registry/client/credentials.ts";

const host = "registry.example.com";

/** The name of the login that a pull secret with these keys has for a repository. */
async function chosen(
  keys: readonly string[],
  at = host,
  repository = "team/model",
): Promise<string | undefined> {
  const auths = Object.fromEntries(keys.map((key) => [key, { username: key, password: "p" }]));
  const explicit = { dockerConfigJson: JSON.stringify({ auths }) };
  const found = await createCredentialSource({ environment: {}, explicit }).get(at, repository);
  return found?.kind === "password" ? found.username : undefined;
}

// Each row was held against k8s.io/kubernetes/pkg/credentialprovider of v1.36.3.
describe("a key of a pull secret names a repository", () => {
  test.each([
    [host, host],
    [`https://${host}`, host],
    [`http://${host}/`, host],
    [`https://${host}/v1/`, host],
    [`https://${host}/v2/`, host],
    [`${host}/v2/team`, host],
    [host.toUpperCase(), host],
    [`${host}:5000`, `${host}:5000`],
    [`${host}/team`, host],
    [`${host}/team/`, host],
    [`${host}/team/model`, host],
    [`https://${host}/team`, host],
    [`${host}/te`, host],
    ["*.example.com", host],
    ["https://*.example.com/v1/", host],
    ["*.example.com/team", host],
    ["*.example.com:5000/team", `${host}:5000`],
    ["registry.*.com", host],
    ["registry.example.*", host],
    ["*.*.com", host],
    ["reg*.example.com", host],
    ["*istry.example.com", host],
    ["r*g*s*y.example.com", host],
    ["registry*.example.com", host],
    ["[::1]:5000", "[::1]:5000"],
    ["127.0.*.1:5000", "127.0.0.1:5000"],
  ])("%s: that of %s", async (key, at) => {
    expect(await chosen([key], at)).toBe(key);
  });
});

describe("a key of a pull secret does not name a repository", () => {
  test.each([
    ["another host", "other.example.com", host],
    ["a host that begins like it", `${host}.evil.example.com`, host],
    ["another port", `${host}:5000`, `${host}:5001`],
    ["a port where there is none", `${host}:5000`, host],
    ["no port where there is one", host, `${host}:5000`],
    ["a glob without the port", "*.example.com", `${host}:5000`],
    ["a glob for the port", `${host}:*`, `${host}:5000`],
    ["a glob that would have to stand for two labels", "*.com", host],
    ["a glob with a label more", "*.*.example.com", host],
    ["a glob for the dot", "*example.com", host],
    ["a glob that overlaps itself", "registry*try.example.com", host],
    ["pieces in another order", "r*t*g*y.example.com", host],
    ["another repository", `${host}/other`, host],
    ["a longer repository", `${host}/team/model/x`, host],
    ["a repository in another case", `${host}/Team`, host],
    ["a glob in the path", `${host}/*/model`, host],
    ["the registry's interface without its last slash", `${host}/v2`, host],
    ["a URL whose path is another", `https://${host}/any/path`, host],
    ["nothing", "", host],
    ["a scheme alone", "https://", host],
  ])("that is %s", async (_, key, at) => {
    expect(await chosen([key], at)).toBeUndefined();
  });
});

describe("of several keys of a pull secret", () => {
  test.each([
    ["the longest path", [host, `${host}/team`, `${host}/team/model`, `${host}/te`], 2],
    ["a host before a glob", ["*.example.com/team/model", host], 1],
    ["the longest path", [`${host}/te`, `${host}/team/`, `${host}/team`], 1],
    ["the longest path of a glob", ["*.example.com", "*.example.com/team", "*.*.com/team"], 1],
    ["what stands longest before a glob", ["*.*.*", "reg*.example.com/team", "registry.*.*"], 2],
    ["the only one that names it", ["*.other.com", `${host}/other`, "*.example.com"], 2],
  ])("%s counts, in whatever order they stand", async (_, keys, best) => {
    expect(await chosen(keys)).toBe(keys[best]);
    expect(await chosen(keys.toReversed())).toBe(keys[best]);
  });

  test("Docker Hub's legacy one counts for each of its names", async () => {
    const hub = ["docker", "io"].join(".");
    const key = `https://index.${hub}/v1/`;
    for (const name of [hub, `index.${hub}`, `registry-1.${hub}`])
      expect(await chosen([key, `other.${hub}`], name)).toBe(key);
    expect(await chosen([key])).toBeUndefined();
  });
});

test("a glob that is meant to take long takes no time", async () => {
  const label = "a".repeat(5000);
  const key = `${"*a".repeat(2000)}*b.example.com`;
  const startedAt = performance.now();
  expect(await chosen([key], `${label}.example.com`)).toBeUndefined();
  expect(performance.now() - startedAt).toBeLessThan(1000);
});
