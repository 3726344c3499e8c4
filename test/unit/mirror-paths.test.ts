import { hostname, networkInterfaces } from "node:os";
import { describe, expect, test } from "vitest";
import { parseAsked } from "../../src/agent/mirror/asked.ts";
import { isOwnAddress } from "../../src/agent/mirror/own-address.ts";

describe("a path of the mirror", () => {
  test.each([
    ["/v2/", null, "base"],
    ["/v2", null, "base"],
    [
      "/v2/registry.example.com/team/model/manifests/v1",
      null,
      { kind: "manifests", host: "registry.example.com", repository: "team/model", version: "v1" },
    ],
    [
      "/v2/127.0.0.1:5000/model/blobs/sha256:00",
      null,
      { kind: "blobs", host: "127.0.0.1:5000", repository: "model", version: "sha256:00" },
    ],
    [
      "/v2/127.0.0.1_5000/model/blobs/sha256:00",
      null,
      { kind: "blobs", host: "127.0.0.1:5000", repository: "model", version: "sha256:00" },
    ],
    [
      "/v2/%5B::1%5D%3A5000/team%2Fmodel/manifests/v1",
      null,
      { kind: "manifests", host: "[::1]:5000", repository: "team/model", version: "v1" },
    ],
    [
      "/v2/team/model/manifests/v1",
      "registry.example.com:5000",
      {
        kind: "manifests",
        host: "registry.example.com:5000",
        repository: "team/model",
        version: "v1",
      },
    ],
    [
      "/v2/a.example.com/blobs/manifests/x/blobs/sha256:00",
      null,
      {
        kind: "blobs",
        host: "a.example.com",
        repository: "blobs/manifests/x",
        version: "sha256:00",
      },
    ],
  ])("%s with namespace %s is read", (path, namespace, asked) => {
    expect(parseAsked(path, namespace)).toEqual(asked);
  });

  test.each([
    ["/", null, 404, "UNSUPPORTED"],
    ["/v2/_catalog", null, 404, "UNSUPPORTED"],
    ["/v2/registry.example.com/team/model/tags/list", null, 404, "UNSUPPORTED"],
    ["/v2/registry.example.com/team/model/referrers/sha256:00", null, 404, "UNSUPPORTED"],
    ["/v2/registry.example.com/team/model/blobs/uploads/", null, 404, "UNSUPPORTED"],
    ["/v2/model/manifests/v1", null, 404, "NAME_UNKNOWN"],
    ["/v2/registry.example.com/Team/manifests/v1", null, 400, "NAME_INVALID"],
    ["/v2/registry.example.com/a/../b/manifests/v1", null, 400, "NAME_INVALID"],
    ["/v2/registry.example.com/a%2f..%2fb/manifests/v1", null, 400, "NAME_INVALID"],
    ["/v2/registry.example.com/a:b/manifests/v1", null, 400, "NAME_INVALID"],
    ["/v2/registry.example.com/a@sha256:0/manifests/v1", null, 400, "NAME_INVALID"],
    ["/v2/%zz/manifests/v1", null, 400, "NAME_INVALID"],
  ])("%s with namespace %s is answered with %d %s", (path, namespace, status, code) => {
    expect(() => parseAsked(path, namespace)).toThrow(
      expect.objectContaining({ status, faults: [expect.objectContaining({ code })] }),
    );
  });
});

describe("the mirror's own address", () => {
  const [foreign = ""] = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family }) => family === "IPv4")
    .map(({ address }) => address);

  test.each([
    ["http://127.0.0.1:5003", "127.0.0.1:5003", true],
    ["http://localhost:5003", "127.0.0.1:5003", true],
    ["http://127.0.0.2:5003", "127.0.0.1:5003", false],
    ["http://127.0.0.1:5004", "127.0.0.1:5003", false],
    ["https://127.0.0.1", "127.0.0.1:443", true],
    ["http://127.0.0.1", "127.0.0.1:80", true],
    ["http://127.0.0.2:5003", "0.0.0.0:5003", true],
    ["http://[::1]:5003", "[::]:5003", true],
    ["http://[0:0:0:0:0:0:0:1]:5003", "[::1]:5003", true],
    [`https://${foreign}:5003`, "0.0.0.0:5003", true],
    [`https://${hostname()}:5003`, "10.1.2.3:5003", true],
    ["http://127.0.0.1:5003", "10.1.2.3:5003", false],
    ["https://registry.example.com:5003", "0.0.0.0:5003", false],
  ])("%s is that of a server at %s: %s", (registry, address, expected) => {
    expect(isOwnAddress(new URL(registry), address)).toBe(expected);
  });
});
