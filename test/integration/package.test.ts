import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { pushImage } from "../../deploy/package/push-image.ts";
import { digestOf } from "../../src/core/digest.ts";
import { openLayout } from "../../src/oci/layout/open-layout.ts";
import { serializeManifest } from "../../src/oci/manifest.ts";
import { mediaTypes } from "../../src/oci/media-types.ts";
import { openWorkplace } from "../support/workplace.ts";

const script = join(import.meta.dirname, "../../deploy/package/main.ts");

describe("npm run package", () => {
  test.each([
    [["--only", "both"], "there is executable and image"],
    [["--arch", "riscv64"], 'no package can be made for "riscv64"'],
    [
      ["--only", "executable", "--push", "registry.example.com/a:v1"],
      "--only executable leaves out",
    ],
    [["--fast"], "--fast"],
  ])("with %j says what is wrong and makes nothing", (args, why) => {
    const { status, stderr, stdout } = spawnSync(process.execPath, [script, ...args]);
    expect({ status, out: stdout.toString() }).toEqual({ status: 1, out: "" });
    expect(stderr.toString()).toContain(why);
    expect(stderr.toString()).not.toContain("    at ");
  });

  test("pushes an image from its layout folder, and each blob once", async () => {
    await using place = await openWorkplace();
    const described = (mediaType: string, text: string) => ({
      mediaType,
      digest: digestOf(text),
      size: text.length,
    });
    const [config, layer] = [described("text/plain", "config"), described("text/plain", "layer")];
    const folder = place.inside("layout");
    await using layout = await openLayout(folder, { create: true });
    await layout.putBlob(config, () => [Buffer.from("config")]);
    await layout.putBlob(layer, () => [Buffer.from("layer")]);
    const bytes = serializeManifest({ config, layers: [layer] });
    await layout.putManifest("v1", { mediaType: mediaTypes.imageManifest, bytes });
    const target = place.ref("infra/ballast:v2");
    const pushed = await pushImage(folder, "v1", target, {});
    expect(pushed).toBe(place.ref(`infra/ballast@${digestOf(bytes)}`));
    expect(await pushImage(folder, "v1", target, {})).toBe(pushed);
    const uploads = place.requests.filter((line) => line.startsWith("PUT "));
    expect(uploads.filter((line) => line.includes("/uploads/"))).toHaveLength(2);
    await expect(pushImage(folder, "v1", place.ref("infra/ballast"), {})).rejects.toMatchObject({
      code: "INVALID_ARGUMENT",
    });
  });
});
