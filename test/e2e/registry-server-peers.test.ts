import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openRawRegistry, type RawRegistry } from "../conformance/raw-registry.ts";
import {
  type Content,
  expectManifest,
  manifestOf,
  pushImage,
  putManifest,
} from "../conformance/registry-content.ts";
import { runPeer } from "../support/peer-programs.ts";
import { toolPath, toolsMissing } from "../support/programs.ts";

describe.skipIf(toolsMissing("crane", "regctl", "skopeo"))(
  "the embedded registry with content of both digest algorithms",
  () => {
    let registry: RawRegistry;
    let short: Content;
    let long: Content;

    beforeAll(async () => {
      registry = await openRawRegistry();
      short = (await pushImage(registry, "mixed", { name: "short", tag: "short" })).manifest;
      const child = await pushImage(registry, "mixed", { name: "long", algorithm: "sha512" });
      const platform = { os: "linux", architecture: "amd64" };
      long = manifestOf({ manifests: [{ ...child.manifest.descriptor, platform }] }, "sha512");
      await putManifest(registry, "mixed", long, `${long.digest}?tag=long`);
    });
    afterAll(async () => registry[Symbol.asyncDispose]());

    const regctl = (...args: string[]) =>
      runPeer("regctl", args, { folder: registry.root, hosts: [registry.server.address] });
    const crane = (...args: string[]) => runPeer("crane", args, { folder: registry.root });

    test("regctl copies a sha512 index to another repository, digest by digest", async () => {
      const { address } = registry.server;
      expect(await regctl("manifest", "head", `${address}/mixed:long`)).toBe(long.digest);
      await regctl("image", "copy", `${address}/mixed:long`, `${address}/copied:long`);
      await expectManifest(registry, "copied", long);
    });

    test("regctl reads the folder with both kinds in it", async () => {
      const folder = `ocidir://${join(registry.root, "mixed")}`;
      expect((await regctl("tag", "ls", folder)).split("\n").toSorted()).toEqual(["long", "short"]);
      for (const [tag, { bytes }] of [
        ["long", long],
        ["short", short],
      ] as const)
        expect(await regctl("manifest", "get", "--format", "raw-body", `${folder}:${tag}`)).toBe(
          bytes.toString(),
        );
    });

    test("crane and skopeo read what is sha256 beside it", async () => {
      const { address } = registry.server;
      expect(await crane("digest", `${address}/mixed:short`)).toBe(short.digest);
      expect((await crane("ls", `${address}/mixed`)).split("\n")).toEqual(["long", "short"]);
      const layout = `oci:${join(registry.root, "mixed")}:short`;
      const { stdout } = await promisify(execFile)(toolPath("skopeo"), [
        "inspect",
        "--raw",
        layout,
      ]);
      expect(stdout).toBe(short.bytes.toString());
    });
  },
);
